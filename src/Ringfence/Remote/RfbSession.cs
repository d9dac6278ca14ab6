using System.Diagnostics;
using System.Text;
using Ringfence.Devices.Video;
using Ringfence.Machines;

namespace Ringfence.Remote;

/// <summary>
/// One client. Two loops: one reads its messages, the other sends updates, each made when the one before has been taken. A client that takes none
/// costs its own memory and nobody's time.
/// </summary>
internal sealed class RfbSession(Stream stream, Screen screen, RfbServerOptions options, RfbCounters counters) : IDisposable
{
    private const int RequestedByClient = 1;
    private const int Prohibited = 1;
    private const int MostCutText = 1 << 20;
    private const int MessagesPerSecond = 4000;

    private static readonly TimeSpan FrameTime = TimeSpan.FromSeconds(1.0 / 30);
    private static readonly TimeSpan IdleFrameTime = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan IdleAfter = TimeSpan.FromSeconds(2);

    private readonly Lock _sync = new();
    private readonly SemaphoreSlim _wake = new(0, 1);
    private readonly RfbReader _reader = new(stream);
    private readonly RfbWriter _writer = new();
    private readonly RfbKeyboard _keyboard = new(screen);
    private readonly RfbPointer _pointer = new(screen);
    private readonly ClientPicture _client = new();
    private readonly List<RfbRectangle> _rectangles = [];
    private readonly ZrleEncoder _zrle = new();
    private VideoPicture _picture;
    private long _generation;
    private RfbPixelFormat? _mapped;
    private bool _hasPromisedKeyCodes;

    // Under the lock: what the client has asked for.
    private RfbPixelFormat _format = new(RfbPixelFormat.Native);
    private RfbEncodings _takes;
    private (int Reason, int Status)? _sizeNotice;
    private bool _isRequested;
    private RfbRectangle _requested;
    private RfbRectangle _forgotten;

    /// <inheritdoc/>
    public void Dispose()
    {
        _zrle.Dispose();
        _wake.Dispose();
    }

    /// <summary>Serves the client until it leaves.</summary>
    /// <param name="isTrusted">Someone else has checked who it is.</param>
    /// <param name="cancellation">Ends it.</param>
    public async Task RunAsync(bool isTrusted, CancellationToken cancellation)
    {
        using CancellationTokenSource ends = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        try
        {
            ends.CancelAfter(options.HandshakeTimeout);
            if (!await new RfbHandshake(stream, _reader, options, counters).RunAsync(isTrusted, ends.Token).ConfigureAwait(false)) return;
            await InitializeAsync(ends.Token).ConfigureAwait(false);
            ends.CancelAfter(Timeout.InfiniteTimeSpan);
            Interlocked.Increment(ref counters.Accepted);
            Task reading = EndWithAsync(ReadMessagesAsync(ends), ends);
            Task sending = EndWithAsync(SendUpdatesAsync(ends.Token), ends);
            await Task.WhenAll(reading, sending).ConfigureAwait(false);
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            // The client has gone.
        }
        catch (Exception error) when (error is OperationCanceledException or RfbProtocolException)
        {
            if (!cancellation.IsCancellationRequested) Interlocked.Increment(ref counters.Dropped);
        }
        finally
        {
            _keyboard.ReleaseAll();
            _pointer.Release();
        }
    }

    private static async Task EndWithAsync(Task loop, CancellationTokenSource ends)
    {
        try
        {
            await loop.ConfigureAwait(false);
        }
        finally
        {
            await ends.CancelAsync().ConfigureAwait(false);
        }
    }

    private async Task InitializeAsync(CancellationToken cancellation)
    {
        await _reader.ReadByteAsync(cancellation).ConfigureAwait(false);
        screen.Output.Draw(ref _picture, ref _generation);
        // An adapter that is off will most likely begin with the text mode.
        if (_picture.Width == 0) _client.Resize(720, 400);
        else _client.Resize(_picture.Width, _picture.Height);
        _client.Update(_picture, 0, _client.Height);
        byte[] name = Encoding.UTF8.GetBytes(options.Name);
        _writer.U16(_client.Width);
        _writer.U16(_client.Height);
        _writer.Add(RfbPixelFormat.Native);
        _writer.U32((uint)name.Length);
        _writer.Add(name);
        await stream.WriteAsync(_writer.Written, cancellation).ConfigureAwait(false);
    }

    private async Task ReadMessagesAsync(CancellationTokenSource ends)
    {
        CancellationToken cancellation = ends.Token;
        long second = Environment.TickCount64;
        for (int count = 1; ; count++)
        {
            byte type = await _reader.ReadByteAsync(cancellation).ConfigureAwait(false);
            // A message that has begun must end.
            ends.CancelAfter(options.HandshakeTimeout);
            await ReadMessageAsync(type, cancellation).ConfigureAwait(false);
            if (count >= MessagesPerSecond)
            {
                long left = second + 1000 - Environment.TickCount64;
                if (left > 0) await Task.Delay((int)left, cancellation).ConfigureAwait(false);
                second = Environment.TickCount64;
                count = 0;
            }

            ends.CancelAfter(Timeout.InfiniteTimeSpan);
        }
    }

    private async Task ReadMessageAsync(byte type, CancellationToken cancellation)
    {
        ReadOnlyMemory<byte> body;
        switch (type)
        {
            case 0: // SetPixelFormat
                body = await _reader.ReadAsync(19, cancellation).ConfigureAwait(false);
                RfbPixelFormat format = new(body.Span[3..]);
                lock (_sync) _format = format;
                break;
            case 2: // SetEncodings
                body = await _reader.ReadAsync(3, cancellation).ConfigureAwait(false);
                await ReadEncodingsAsync(RfbReader.U16(body, 1), cancellation).ConfigureAwait(false);
                break;
            case 3: // FramebufferUpdateRequest
                body = await _reader.ReadAsync(9, cancellation).ConfigureAwait(false);
                Request(body.Span[0] != 0, new RfbRectangle(RfbReader.U16(body, 1), RfbReader.U16(body, 3), RfbReader.U16(body, 5), RfbReader.U16(body, 7)));
                break;
            case 4: // KeyEvent
                body = await _reader.ReadAsync(7, cancellation).ConfigureAwait(false);
                _keyboard.Press(RfbReader.U32(body, 3), body.Span[0] != 0);
                Wake();
                break;
            case 5: // PointerEvent
                body = await _reader.ReadAsync(5, cancellation).ConfigureAwait(false);
                _pointer.Move(body.Span[0], RfbReader.U16(body, 1), RfbReader.U16(body, 3));
                Wake();
                break;
            case 6: // ClientCutText
                body = await _reader.ReadAsync(7, cancellation).ConfigureAwait(false);
                uint length = RfbReader.U32(body, 3);
                if (length > MostCutText) throw new RfbProtocolException("too much text");
                await _reader.SkipAsync(length, cancellation).ConfigureAwait(false);
                break;
            case 251: // SetDesktopSize
                body = await _reader.ReadAsync(7, cancellation).ConfigureAwait(false);
                await _reader.SkipAsync(body.Span[5] * 16, cancellation).ConfigureAwait(false);
                // The screen is as large as the guest has made it.
                lock (_sync) _sizeNotice = (RequestedByClient, Prohibited);
                Wake();
                break;
            case 255: // QEMU's messages
                if (await _reader.ReadByteAsync(cancellation).ConfigureAwait(false) is not 0 and var kind) throw new RfbProtocolException($"no message of QEMU's type {kind}");
                body = await _reader.ReadAsync(10, cancellation).ConfigureAwait(false);
                _keyboard.PressCode(RfbReader.U32(body, 6), RfbReader.U32(body, 2), RfbReader.U16(body, 0) != 0);
                Wake();
                break;
            default:
                throw new RfbProtocolException($"no message of type {type}");
        }
    }

    private async Task ReadEncodingsAsync(int count, CancellationToken cancellation)
    {
        RfbEncodings takes = default;
        for (; count > 0; count--) takes = takes.With((int)RfbReader.U32(await _reader.ReadAsync(4, cancellation).ConfigureAwait(false), 0));
        lock (_sync) _takes = takes;
    }

    private void Request(bool isIncremental, in RfbRectangle area)
    {
        lock (_sync)
        {
            _isRequested = true;
            _requested = _requested.Union(area);
            if (!isIncremental)
            {
                _forgotten = _forgotten.Union(area);
                _sizeNotice ??= (0, 0);
            }
        }

        Wake();
    }

    private void Wake()
    {
        lock (_sync)
            if (_wake.CurrentCount == 0) _wake.Release();
    }

    private async Task SendUpdatesAsync(CancellationToken cancellation)
    {
        long next = Stopwatch.GetTimestamp();
        long lastChange = next;
        bool isWaiting = false;
        while (true)
        {
            // A screen that has been still for a while is looked at less often, until the client does something.
            TimeSpan wait = !isWaiting ? Timeout.InfiniteTimeSpan : Stopwatch.GetElapsedTime(lastChange) > IdleAfter ? IdleFrameTime : FrameTime;
            if (await _wake.WaitAsync(wait, cancellation).ConfigureAwait(false)) lastChange = Stopwatch.GetTimestamp();
            TimeSpan early = Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), next);
            if (early > TimeSpan.Zero) await Task.Delay(early, cancellation).ConfigureAwait(false);
            next = Math.Max(next, Stopwatch.GetTimestamp() - (long)(FrameTime.TotalSeconds * Stopwatch.Frequency)) + (long)(FrameTime.TotalSeconds * Stopwatch.Frequency);
            if (!MakeUpdate(out isWaiting)) continue;
            lastChange = Stopwatch.GetTimestamp();
            using CancellationTokenSource slow = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            slow.CancelAfter(options.SendTimeout);
            await stream.WriteAsync(_writer.Written, slow.Token).ConfigureAwait(false);
            Interlocked.Increment(ref counters.Updates);
            Interlocked.Add(ref counters.BytesSent, _writer.Length);
        }
    }

    /// <summary>Makes the next update (RFC 6143 7.6.1).</summary>
    /// <param name="isWaiting">The client waits for one, and there is nothing to send.</param>
    /// <returns>Is there one?</returns>
    private bool MakeUpdate(out bool isWaiting)
    {
        RfbPixelFormat format;
        RfbRectangle area;
        RfbEncodings takes;
        (int Reason, int Status)? sizeNotice;
        lock (_sync)
        {
            isWaiting = _isRequested;
            if (!_isRequested) return false;
            (format, takes, area, sizeNotice) = (_format, _takes, _requested, _sizeNotice);
            _client.Forget(_forgotten);
            _forgotten = default;
            _sizeNotice = null;
        }

        (int first, int end) = screen.Output.Draw(ref _picture, ref _generation);
        bool isResized = (takes.Sizes || takes.Screens) && _picture.Width != 0 && (_picture.Width != _client.Width || _picture.Height != _client.Height);
        if (isResized)
        {
            _client.Resize(_picture.Width, _picture.Height);
            (first, end) = (0, _client.Height);
        }

        if (first < end || isResized) _client.Update(_picture, first, end);
        _rectangles.Clear();
        // A client that learns of a new size asks again.
        if (!isResized) _client.Take(area, _rectangles);
        bool tellsSize = isResized || (takes.Screens && sizeNotice is not null);
        bool tellsKeyCodes = takes.KeyCodes && !_hasPromisedKeyCodes;
        int count = _rectangles.Count + (tellsSize ? 1 : 0) + (tellsKeyCodes ? 1 : 0);
        if (count == 0) return false;
        _writer.Clear();
        if (format.UsesColorMap && format != _mapped) RfbPixelFormat.WriteColorMap(_writer);
        _mapped = format;
        _writer.U16(0);
        _writer.U16(count);
        if (tellsKeyCodes) _writer.Rectangle(default, RfbEncodings.ExtendedKeyEvent);
        _hasPromisedKeyCodes |= tellsKeyCodes;
        if (tellsSize) WriteSize(takes, sizeNotice ?? (0, 0));
        foreach (RfbRectangle rectangle in _rectangles)
        {
            if (takes.Zrle) _zrle.Write(_writer, _client, rectangle, format);
            else WriteRaw(rectangle, format);
        }

        isWaiting = false;
        lock (_sync)
        {
            // Requests that came meanwhile ask for what this update has; what they want anew is still to be sent.
            _isRequested = !_forgotten.IsEmpty;
            _requested = _forgotten;
        }

        return true;
    }

    /// <summary>Tells the size and, to clients that know screens, that it is one and who wanted it.</summary>
    private void WriteSize(RfbEncodings takes, (int Reason, int Status) notice)
    {
        if (!takes.Screens)
        {
            _writer.Rectangle(_client.Area, RfbEncodings.DesktopSize);
            return;
        }

        _writer.Rectangle(_client.Area with { X = notice.Reason, Y = notice.Status }, RfbEncodings.ExtendedDesktopSize);
        _writer.U32(1 << 24);
        _writer.U32(0);
        _writer.Rectangle(_client.Area, 0);
    }

    private void WriteRaw(in RfbRectangle area, RfbPixelFormat format)
    {
        _writer.Rectangle(area, 0);
        for (int y = area.Y; y < area.Y + area.Height; y++)
            format.Write(_client.Row(area.X, y, area.Width), _writer.Take(area.Width * format.PixelBytes));
    }
}
