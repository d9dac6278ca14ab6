namespace Ringfence.Storage;

/// <summary>How the bytes of a disk lie in a file.</summary>
public enum DiskImageFormat
{
    /// <summary>
    /// Found out from the file: qcow2 if it begins with that format's magic, an ISO image if its name ends in <c>.iso</c>, otherwise raw.
    /// Images of other monitors (VMDK, VDI, VHDX, ...) are refused. A raw disk that was opened this way takes no write that would make its
    /// first bytes the magic of a format: what a guest writes never decides how its disk is read the next time.
    /// </summary>
    Auto,

    /// <summary>Byte for byte. Holes of the file read as zeros.</summary>
    Raw,

    /// <summary>QEMU's format, version 2 or 3.</summary>
    Qcow2,

    /// <summary>A CD or DVD: byte for byte, and never written.</summary>
    Iso,
}
