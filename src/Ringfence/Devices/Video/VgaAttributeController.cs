namespace Ringfence.Devices.Video;

/// <summary>
/// The attribute controller (IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, attribute controller registers; ports 3C0h and
/// 3C1h): the palette of 16 colors, blinking, panning. Index and data are written to one port in turns.
/// </summary>
/// <param name="changes">Told of every change.</param>
internal sealed class VgaAttributeController(VideoChanges changes)
    : VgaRegisterFile("attribute", 0x1f, [.. Bits], changes)
{
    /// <summary>Number of the mode control register.</summary>
    public const int ModeControl = 0x10;

    private const byte PaletteAddressSource = 0x20;

    private bool _expectsData;
    private bool _isShown;

    private static ReadOnlySpan<byte> Bits =>
    [
        0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
        0xef, 0xff, 0x3f, 0x0f, 0x0f,
    ];

    /// <summary>Does the palette belong to the screen (or to the processor, while the screen shows nothing)?</summary>
    public bool IsShown => _isShown;

    /// <summary>Port 3C0h as it is read.</summary>
    public byte Address => (byte)(Index | (_isShown ? PaletteAddressSource : 0));

    /// <summary>The next write to port 3C0h is an index: input status 1 was read.</summary>
    public void ExpectIndex() => _expectsData = false;

    /// <summary>Takes a write to port 3C0h.</summary>
    public void WritePort(byte value)
    {
        if (_expectsData)
        {
            Write(value);
        }
        else
        {
            Index = value;
            Changes.Set(ref _isShown, (value & PaletteAddressSource) != 0);
        }

        _expectsData = !_expectsData;
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        base.Reset();
        _expectsData = _isShown = false;
    }

    /// <inheritdoc/>
    public override void DescribeState(IStateVisitor visitor)
    {
        base.DescribeState(visitor);
        visitor.Field("attribute_expects_data", ref _expectsData);
        visitor.Field("attribute_shown", ref _isShown);
    }
}
