namespace Ringfence.Devices.Video;

/// <summary>
/// The CRT controller's registers (IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, CRT controller registers; ports 3D4h and 3D5h,
/// or 3B4h and 3B5h): timing, what is shown where, cursor.
/// </summary>
/// <param name="changes">Told of every change.</param>
internal sealed class VgaCrtController(VideoChanges changes)
    : VgaRegisterFile("crtc", 0x3f, [.. Bits], changes)
{
    private const int Overflow = 0x07;
    private const int VerticalRetraceEnd = 0x11;
    private const byte Protect = 0x80;
    private const byte LineCompareBit8 = 0x10;

    private static ReadOnlySpan<byte> Bits =>
    [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0x3f, 0x7f, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xef, 0xff,
    ];

    /// <inheritdoc/>
    public override void Write(int index, byte value)
    {
        // Registers 0 to 7 hold the timing that programs for other monitors would spoil; line compare is not timing.
        if (index <= Overflow && (this[VerticalRetraceEnd] & Protect) != 0)
        {
            if (index != Overflow) return;
            value = (byte)((this[Overflow] & ~LineCompareBit8) | (value & LineCompareBit8));
        }

        base.Write(index, value);
    }
}
