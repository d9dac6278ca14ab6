namespace Ringfence.Devices.Video;

/// <summary>
/// Draws what an adapter shows. One canvas is kept and only what the guest has touched since is drawn again. The machine lock is held while registers
/// and the list of touched pages are copied; pixels come from the memory as the guest goes on writing it.
/// </summary>
/// <param name="adapter">The adapter.</param>
/// <param name="clock">Guest time.</param>
/// <param name="memory">Its memory.</param>
internal sealed class VideoRenderer(VgaAdapter adapter, IMachineClock clock, IFrameMemory memory) : IVideoOutput
{
    /// <summary>Guest time after which a screen that was turned off is black; less is software setting a mode.</summary>
    public const long DarkDelay = 40_000_000;

    private readonly Lock _sync = new();
    private readonly VideoRegisters _registers = new();
    private readonly VideoColors _colors = new();
    private readonly VideoCanvas _canvas = new();
    private readonly VideoPages _pages = new(memory.Length);
    private readonly TextPainter _text = new(memory);
    private readonly PlanePainter _planes = new(memory);
    private readonly PackedPainter _packed = new(memory);
    private VideoLayout _layout;
    private long _copiedAt;
    private bool _isDark;
    private bool _isStale;
    private bool _isClosed;
    private TextScreen? _lastText;

    /// <inheritdoc/>
    public (int Width, int Height) Size
    {
        get
        {
            lock (_sync)
            {
                Refresh(clock.Now);
                return (_layout.Width, _layout.Height);
            }
        }
    }

    /// <inheritdoc/>
    public (int Column, int Row)? Cursor => ReadCells()?.Cursor;

    /// <summary>Lines drawn so far: what drawing has cost.</summary>
    public long LinesDrawn { get; private set; }

    /// <inheritdoc/>
    public (int First, int End) Draw(ref VideoPicture picture, ref long generation)
    {
        lock (_sync)
        {
            Update();
            return _canvas.CopyTo(ref picture, ref generation);
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<string>? ReadText() => ReadCells()?.Lines;

    /// <inheritdoc/>
    public TextScreen? ReadCells()
    {
        lock (_sync)
        {
            if (_isClosed) return _lastText;
            Refresh(clock.Now);
            return _layout.IsText ? TextReader.Read(_layout, _registers, memory) : null;
        }
    }

    /// <summary>The memory goes away: from here on the last picture is shown.</summary>
    public void Close()
    {
        lock (_sync)
        {
            if (_isClosed) return;
            Update();
            _lastText = ReadCells();
            _isClosed = true;
        }
    }

    private void Update()
    {
        if (_isClosed) return;
        long now = clock.Now;
        _canvas.Begin();
        Refresh(now);
        if (_canvas.Width != _layout.Width || _canvas.Height != _layout.Height) _canvas.Resize(_layout.Width, _layout.Height);
        _pages.Bits.Clear();
        bool isTouched = adapter.TakeDirty(_pages.Bits);
        switch (_layout.Kind)
        {
            case VideoKind.Off:
                break;
            case VideoKind.Dark:
                if (_isStale)
                    for (int y = 0; y < _layout.Height; y++) _canvas.Fill(y, VideoCanvas.Black);
                break;
            case VideoKind.Text:
                LinesDrawn += _text.Paint(_canvas, _layout, _registers, _colors, now, _isStale, isTouched);
                break;
            case VideoKind.Packed:
                if (isTouched || _isStale) LinesDrawn += _packed.Paint(_canvas, _layout.Packed, _colors, _isStale ? null : _pages);
                break;
            default:
                if (isTouched || _isStale) LinesDrawn += _planes.Paint(_canvas, _layout, _colors, _isStale ? null : _pages);
                break;
        }

        _isStale = false;
    }

    /// <summary>Learns of changed registers.</summary>
    private void Refresh(long now)
    {
        if (_isClosed) return;
        bool mayDarken = _registers.DarkSince is not null && !_isDark;
        if (adapter.ChangeCount == _copiedAt && !mayDarken) return;
        _copiedAt = adapter.CopyRegisters(_registers);
        _isDark = _registers.DarkSince is { } since && now - since >= DarkDelay;
        VideoLayout layout = VideoLayout.From(_registers, _isDark, memory.Length / 4);
        (bool all, bool attributes) = _colors.Update(_registers);
        bool usesAll = layout.Kind == VideoKind.PlaneBytes || (layout.Kind == VideoKind.Packed && layout.Packed.BitsPerPixel == 8);
        bool usesAttributes = layout.Kind is VideoKind.Text or VideoKind.Planar or VideoKind.PixelPairs;
        if (layout != _layout || (usesAll && all) || (usesAttributes && attributes)) _isStale = true;
        if (layout != _layout)
        {
            (int first, int end) = layout.Memory(memory.Length);
            memory.Watch(first, end);
        }

        _layout = layout;
    }
}
