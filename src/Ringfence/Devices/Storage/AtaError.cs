namespace Ringfence.Devices.Storage;

/// <summary>Bits of an ATA device's error register (ATA/ATAPI-6, 7.9).</summary>
internal static class AtaError
{
    /// <summary>ABRT: the command is not known or cannot be carried out.</summary>
    public const byte Aborted = 0x04;

    /// <summary>IDNF: there is no such sector.</summary>
    public const byte NotFound = 0x10;

    /// <summary>UNC: the data cannot be read.</summary>
    public const byte Uncorrectable = 0x40;

    /// <summary>After a reset: diagnostics passed.</summary>
    public const byte DiagnosticsPassed = 0x01;
}
