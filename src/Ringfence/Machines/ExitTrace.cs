using System.Buffers.Text;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Iced.Intel;
using Ringfence.Processors.Exits;

namespace Ringfence.Machines;

/// <summary>
/// Writes exits as they happen in the Chrome trace event format (a JSON object with an array of complete events, times in microseconds). Each
/// processor fills buffers, one thread formats them. When the bound is reached, exits are counted and left out; the end of
/// the file is kept free for the summary that says so.
/// </summary>
internal sealed class ExitTrace : IDisposable
{
    /// <summary>Least bound: the frame of a trace, its names and the summary.</summary>
    public const long LeastBytes = 16 << 10;

    private const int BuffersInFlight = 64;
    private const int LongestEvent = 320;
    private const int TailBytes = 4096;

    private readonly Stream _output;
    private readonly long _bound;
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly ProcessorRecorder[] _recorders;
    private readonly BlockingCollection<(int Processor, ExitRecord[] Records, int Count)> _filled = new(BuffersInFlight);
    private readonly ConcurrentBag<ExitRecord[]> _free = [];
    private readonly Thread _writer;
    private readonly byte[] _event = new byte[LongestEvent];
    private long _written;
    private long _leftOut;
    private long _recorded;
    private bool _isFull;
    private bool _isComplete;
    private Exception? _failure;

    /// <summary>Begins a trace.</summary>
    /// <param name="options">Where to, and how much.</param>
    /// <param name="machine">The machine's name.</param>
    /// <param name="engine">The engine's name.</param>
    /// <param name="processors">Number of processors.</param>
    public ExitTrace(ExitTraceOptions options, string machine, string engine, int processors)
    {
        _output = options.Output;
        _bound = Math.Max(options.MaximumBytes, LeastBytes) - TailBytes;
        _recorders = [.. Enumerable.Range(0, processors).Select(i => new ProcessorRecorder(this, i))];
        WriteHead(machine, engine, processors);
        _writer = new Thread(WriteAll) { Name = $"{machine} trace", IsBackground = true };
        _writer.Start();
    }

    /// <summary>Where a processor's exits go.</summary>
    public IExitRecorder For(int processor) => _recorders[processor];

    /// <summary>Writes what is left and the end. No processor runs any more.</summary>
    /// <exception cref="IOException">The stream could not take it all.</exception>
    public void Complete()
    {
        if (_isComplete) return;
        _isComplete = true;
        foreach (ProcessorRecorder recorder in _recorders) recorder.HandOver();
        _filled.CompleteAdding();
        _writer.Join();
        if (_failure is null) WriteTail();
        if (_failure is not null) throw new IOException($"The trace could not be written: {_failure.Message}", _failure);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _filled.CompleteAdding();
        if (Thread.CurrentThread != _writer) _writer.Join();
        _filled.Dispose();
    }

    private void WriteHead(string machine, string engine, int processors)
    {
        var text = new StringBuilder("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
        text.Append(CultureText($"{{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{{\"name\":{Quote($"{machine} ({engine})")}}}}}"));
        for (int i = 0; i < processors; i++)
            text.Append(CultureText($",\n{{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":{i},\"args\":{{\"name\":\"processor {i}\"}}}}"));
        Write(Encoding.UTF8.GetBytes(text.ToString()));
    }

    private void WriteTail() => Write(Encoding.UTF8.GetBytes(CultureText(
        $"\n],\n\"otherData\":{{\"exits_recorded\":{_recorded},\"exits_left_out\":{_leftOut}}}}}\n")), flush: true);

    private void WriteAll()
    {
        foreach ((int processor, ExitRecord[] records, int count) in _filled.GetConsumingEnumerable())
        {
            for (int i = 0; i < count && _failure is null; i++) WriteEvent(processor, records[i]);
            _free.Add(records);
        }
    }

    private void WriteEvent(int processor, in ExitRecord record)
    {
        if (_isFull)
        {
            Interlocked.Increment(ref _leftOut);
            return;
        }

        int length = Format(processor, record);
        if (_written + length > _bound)
        {
            Volatile.Write(ref _isFull, true);
            Interlocked.Increment(ref _leftOut);
            return;
        }

        _recorded++;
        Write(_event.AsSpan(0, length));
    }

    private int Format(int processor, in ExitRecord record)
    {
        Span<byte> to = _event;
        int at = 0;
        Put(to, ref at, ",\n{\"name\":\""u8);
        at += Encoding.UTF8.GetBytes(record.IsIdle ? "Idle" : record.Reason.ToString(), to[at..]);
        Put(to, ref at, "\",\"cat\":\""u8);
        Put(to, ref at, record.IsIdle ? "idle"u8 : "exit"u8);
        Put(to, ref at, "\",\"ph\":\"X\",\"pid\":1,\"tid\":"u8);
        PutNumber(to, ref at, processor);
        Put(to, ref at, ",\"ts\":"u8);
        PutMicroseconds(to, ref at, record.Start - _start);
        Put(to, ref at, ",\"dur\":"u8);
        PutMicroseconds(to, ref at, record.End - record.Start);
        if (!record.IsIdle)
        {
            Put(to, ref at, ",\"args\":{\"rip\":\"0x"u8);
            PutHexadecimal(to, ref at, record.Address);
            Put(to, ref at, "\""u8);
            PutDetail(to, ref at, record);
            Put(to, ref at, "}"u8);
        }

        Put(to, ref at, "}"u8);
        return at;
    }

    private static void PutDetail(Span<byte> to, ref int at, in ExitRecord record)
    {
        switch (record.Reason)
        {
            case ExitReason.PortIo:
                Put(to, ref at, ",\"port\":\"0x"u8);
                break;
            case ExitReason.Mmio:
                Put(to, ref at, ",\"physical\":\"0x"u8);
                break;
            case ExitReason.PageFault:
                Put(to, ref at, ",\"linear\":\"0x"u8);
                break;
            case ExitReason.Exception or ExitReason.ExternalInterrupt:
                Put(to, ref at, ",\"vector\":\"0x"u8);
                break;
            case (ExitReason.PrivilegedInstruction or ExitReason.Halt or ExitReason.Emulation) when record.Detail is not 0 and < ushort.MaxValue:
                Put(to, ref at, ",\"instruction\":\""u8);
                at += Encoding.UTF8.GetBytes(((Code)record.Detail).ToString(), to[at..]);
                Put(to, ref at, "\""u8);
                return;
            default:
                return;
        }

        PutHexadecimal(to, ref at, record.Detail);
        Put(to, ref at, "\""u8);
    }

    private static void Put(Span<byte> to, ref int at, ReadOnlySpan<byte> text)
    {
        text.CopyTo(to[at..]);
        at += text.Length;
    }

    private static void PutNumber(Span<byte> to, ref int at, long value)
    {
        _ = Utf8Formatter.TryFormat(value, to[at..], out int length);
        at += length;
    }

    private static void PutHexadecimal(Span<byte> to, ref int at, ulong value)
    {
        _ = Utf8Formatter.TryFormat(value, to[at..], out int length, 'x');
        at += length;
    }

    private static void PutMicroseconds(Span<byte> to, ref int at, long ticks)
    {
        long nanoseconds = (long)(ticks * (1e9 / Stopwatch.Frequency));
        PutNumber(to, ref at, nanoseconds / 1000);
        Put(to, ref at, "."u8);
        _ = Utf8Formatter.TryFormat(nanoseconds % 1000, to[at..], out int length, new System.Buffers.StandardFormat('D', 3));
        at += length;
    }

    private void Write(ReadOnlySpan<byte> data, bool flush = false)
    {
        try
        {
            _output.Write(data);
            if (flush) _output.Flush();
            _written += data.Length;
        }
        catch (Exception exception) when (exception is IOException or ObjectDisposedException or NotSupportedException or UnauthorizedAccessException)
        {
            _failure ??= exception;
            Volatile.Write(ref _isFull, true);
        }
    }

    private static string CultureText(FormattableString text) => FormattableString.Invariant(text);

    private static string Quote(string text) => $"\"{JsonEncodedText.Encode(text)}\"";

    /// <summary>Collects one processor's exits.</summary>
    private sealed class ProcessorRecorder(ExitTrace trace, int processor) : IExitRecorder
    {
        private const int Capacity = 4096;

        private ExitRecord[] _records = new ExitRecord[Capacity];
        private int _count;

        /// <inheritdoc/>
        public void Record(in ExitRecord exit)
        {
            if (Volatile.Read(ref trace._isFull))
            {
                Interlocked.Increment(ref trace._leftOut);
                return;
            }

            _records[_count++] = exit;
            if (_count == Capacity) HandOver();
        }

        /// <summary>Gives the writer what there is. Waits while the writer is far behind: a trace has no holes.</summary>
        public void HandOver()
        {
            if (_count == 0) return;
            trace._filled.Add((processor, _records, _count));
            if (!trace._free.TryTake(out ExitRecord[]? records)) records = new ExitRecord[Capacity];
            _records = records;
            _count = 0;
        }
    }
}
