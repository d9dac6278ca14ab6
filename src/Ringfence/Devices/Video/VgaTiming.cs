namespace Ringfence.Devices.Video;

/// <summary>When a picture's lines are sent to the monitor, from guest time alone: nothing runs while nobody asks.</summary>
internal sealed class VgaTiming
{
    private const int LeastLines = 64;
    private const long LeastFrame = 2_000_000;
    private const long LongestFrame = 100_000_000;

    private const byte DisplayDisabled = 0x01;
    private const byte VerticalRetrace = 0x08;

    private readonly long _line;
    private readonly long _shownPart;
    private readonly int _lines;
    private readonly int _shownLines;
    private readonly int _retraceStart;
    private readonly int _retraceEnd;

    /// <summary>The timing of a mode of the Bochs extensions: 60 Hz whatever its size.</summary>
    /// <param name="height">Rows.</param>
    public VgaTiming(int height)
    {
        _shownLines = Math.Max(height, LeastLines);
        _retraceStart = _shownLines + 3;
        _retraceEnd = _retraceStart + 6;
        _lines = _shownLines + 30;
        _line = TickMath.Second / 60 / _lines;
        _shownPart = _line * 4 / 5;
    }

    /// <summary>The timing that registers describe; that of text mode if no monitor could follow them.</summary>
    /// <param name="crtc">Registers of the CRT controller.</param>
    /// <param name="clockingMode">The sequencer's clocking mode.</param>
    /// <param name="miscellaneous">Miscellaneous output.</param>
    public VgaTiming(ReadOnlySpan<byte> crtc, byte clockingMode, byte miscellaneous)
    {
        byte overflow = crtc[0x07];
        long kilohertz = ((miscellaneous >> 2) & 3) == 1 ? 28_322 : 25_175;
        long dots = ((clockingMode & 1) != 0 ? 8 : 9) << ((clockingMode >> 3) & 1);
        _line = (crtc[0x00] + 5) * dots * 1_000_000 / kilohertz;
        _shownPart = (crtc[0x01] + 1) * dots * 1_000_000 / kilohertz;
        int scale = (crtc[0x17] >> 2) & 1;
        _lines = ((crtc[0x06] | ((overflow & 0x01) << 8) | ((overflow & 0x20) << 4)) + 2) << scale;
        _shownLines = ((crtc[0x12] | ((overflow & 0x02) << 7) | ((overflow & 0x40) << 3)) + 1) << scale;
        int start = crtc[0x10] | ((overflow & 0x04) << 6) | ((overflow & 0x80) << 2);
        int length = (crtc[0x11] - start) & 15;
        _retraceStart = start << scale;
        _retraceEnd = _retraceStart + Math.Max(1, length << scale);
        if (_line * _lines is < LeastFrame or > LongestFrame || _lines < LeastLines)
        {
            _line = 31_778;
            _shownPart = 25_422;
            _lines = 449;
            _shownLines = 400;
            _retraceStart = 412;
            _retraceEnd = 414;
        }
        else if (_retraceStart >= _lines)
        {
            // Whoever waits for a retrace must not wait for ever.
            _retraceStart = _lines - 2;
            _retraceEnd = _lines;
        }
    }

    /// <summary>Bits 0 and 3 of input status 1 at a time.</summary>
    public byte Status(long now)
    {
        long inFrame = now % (_line * _lines);
        long line = inFrame / _line;
        byte status = line >= _shownLines || inFrame % _line >= _shownPart ? DisplayDisabled : (byte)0;
        return line >= _retraceStart && line < _retraceEnd ? (byte)(status | VerticalRetrace | DisplayDisabled) : status;
    }
}
