namespace Ringfence.Devices.Video;

/// <summary>
/// The graphics controller's registers (IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, graphics controller registers; ports
/// 3CEh and 3CFh): what happens to a byte between processor and planes. <see cref="VgaPlanes"/> does it.
/// </summary>
/// <param name="changes">Told of every change.</param>
internal sealed class VgaGraphicsController(VideoChanges changes)
    : VgaRegisterFile("graphics", 0x0f, [0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff], changes)
{
    /// <summary>Number of the graphics mode register.</summary>
    public const int GraphicsMode = 5;

    /// <summary>Number of the miscellaneous register.</summary>
    public const int Miscellaneous = 6;

    /// <summary>Planes' values for set/reset, a bit each.</summary>
    public int SetReset => this[0];

    /// <summary>Planes that write mode 0 writes with <see cref="SetReset"/>.</summary>
    public int EnableSetReset => this[1];

    /// <summary>The color read mode 1 looks for.</summary>
    public int ColorCompare => this[2];

    /// <summary>How far written bytes are rotated to the right.</summary>
    public int RotateCount => this[3] & 7;

    /// <summary>What is done with written bytes and latches: 0 replace, 1 AND, 2 OR, 3 XOR.</summary>
    public int Function => this[3] >> 3;

    /// <summary>The plane read mode 0 reads.</summary>
    public int ReadMapSelect => this[4];

    /// <summary>0 to 3.</summary>
    public int WriteMode => this[GraphicsMode] & 3;

    /// <summary>Does reading compare colors?</summary>
    public bool ReadsCompare => (this[GraphicsMode] & 8) != 0;

    /// <summary>Do even addresses read planes 0 and 2, odd ones planes 1 and 3?</summary>
    public bool ReadsOddEven => (this[GraphicsMode] & 0x10) != 0;

    /// <summary>Where the memory is seen: 0 A0000h (128 KiB), 1 A0000h (64 KiB), 2 B0000h, 3 B8000h (32 KiB).</summary>
    public int MemoryMapSelect => (this[Miscellaneous] >> 2) & 3;

    /// <summary>Planes whose bits <see cref="ColorCompare"/> is compared with.</summary>
    public int ColorDontCare => this[7];

    /// <summary>Bits that are written; the others come from the latches.</summary>
    public byte BitMask => this[8];
}
