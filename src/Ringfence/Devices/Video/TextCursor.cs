namespace Ringfence.Devices.Video;

/// <summary>The cursor of a text mode (CRT controller, registers 0Ah, 0Bh, 0Eh and 0Fh).</summary>
internal readonly struct TextCursor
{
    private const byte Off = 0x20;

    private readonly int _address;
    private readonly int _start;
    private readonly int _end;

    /// <summary>Reads the registers.</summary>
    /// <param name="registers">The registers.</param>
    /// <param name="rowHeight">Lines of a character.</param>
    public TextCursor(VideoRegisters registers, int rowHeight)
    {
        byte[] crtc = registers.Crtc;
        _address = (crtc[0x0e] << 8) | crtc[0x0f];
        _start = crtc[0x0a] & 0x1f;
        _end = Math.Min(crtc[0x0b] & 0x1f, rowHeight - 1);
        IsOn = (crtc[0x0a] & Off) == 0 && _start <= _end;
        Key = (uint)((IsOn ? 1 : 0) | (_start << 1) | (_end << 6) | (_address << 11));
    }

    /// <summary>Is there a cursor?</summary>
    public bool IsOn { get; }

    /// <summary>Equal keys are equal cursors; the low 11 bits are their shape.</summary>
    public uint Key { get; }

    /// <summary>Is the cursor at a state of the address counter?</summary>
    public bool IsAt(int counter) => IsOn && (counter & 0xffff) == _address;

    /// <summary>Does it cover a line of the character?</summary>
    public bool Covers(int row) => row >= _start && row <= _end;
}
