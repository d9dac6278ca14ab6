namespace Ringfence.Devices.Video;

/// <summary>
/// The digital-to-analog converter (IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, video digital-to-analog converter; ports
/// 3C6h to 3C9h): 256 colors of 18 bits, or of 24 with the Bochs extensions.
/// </summary>
/// <param name="changes">Told of every change.</param>
internal sealed class VgaDac(VideoChanges changes)
{
    /// <summary>Bytes of all colors: red, green, blue each.</summary>
    public const int Length = 256 * 3;

    private readonly byte[] _colors = new byte[Length];
    private readonly byte[] _pending = new byte[3];
    private byte _mask = 0xff;
    private byte _readIndex;
    private byte _writeIndex;
    private byte _component;
    private bool _isReading;
    private bool _isWide;

    /// <summary>All colors.</summary>
    public ReadOnlySpan<byte> Colors => _colors;

    /// <summary>The PEL mask, ANDed to every color number.</summary>
    public byte Mask
    {
        get => _mask;
        set => changes.Set(ref _mask, value);
    }

    /// <summary>Have components 8 bits (or 6)?</summary>
    public bool IsWide
    {
        get => _isWide;
        set => changes.Set(ref _isWide, value);
    }

    /// <summary>The state register: 3 after the index was set for reading, 0 for writing.</summary>
    public byte State => (byte)(_isReading ? 3 : 0);

    /// <summary>The index for writing.</summary>
    public byte WriteIndex
    {
        get => _writeIndex;
        set
        {
            _writeIndex = value;
            _component = 0;
            _isReading = false;
        }
    }

    /// <summary>Sets the index for reading.</summary>
    public void SetReadIndex(byte value)
    {
        _readIndex = value;
        _component = 0;
        _isReading = true;
    }

    /// <summary>Reads the next component.</summary>
    public byte ReadData()
    {
        byte value = (byte)(_colors[(_readIndex * 3) + _component] & (_isWide ? 0xff : 0x3f));
        if (Advance()) _readIndex++;
        return value;
    }

    /// <summary>Writes the next component; the color changes with its third.</summary>
    public void WriteData(byte value)
    {
        _pending[_component] = _isWide ? value : (byte)(value & 0x3f);
        if (!Advance()) return;
        for (int i = 0; i < 3; i++) changes.Set(ref _colors[(_writeIndex * 3) + i], _pending[i]);
        _writeIndex++;
    }

    /// <summary>The state after power-on.</summary>
    public void Reset()
    {
        _colors.AsSpan().Clear();
        _pending.AsSpan().Clear();
        _mask = 0xff;
        _readIndex = _writeIndex = _component = 0;
        _isReading = _isWide = false;
        changes.Raise();
    }

    /// <summary>Visits the fields.</summary>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Bytes("dac_colors", _colors);
        visitor.Bytes("dac_pending", _pending);
        visitor.Field("dac_mask", ref _mask);
        visitor.Field("dac_read_index", ref _readIndex);
        visitor.Field("dac_write_index", ref _writeIndex);
        visitor.Field("dac_component", ref _component);
        visitor.Field("dac_reading", ref _isReading);
        visitor.Field("dac_wide", ref _isWide);
        _component %= 3;
        changes.Raise();
    }

    private bool Advance()
    {
        _component = (byte)((_component + 1) % 3);
        return _component == 0;
    }
}
