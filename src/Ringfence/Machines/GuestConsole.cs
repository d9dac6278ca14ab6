using System.Text.RegularExpressions;

namespace Ringfence.Machines;

/// <summary>
/// What a guest prints on one of its consoles: kept, searched and streamed. Texts are awaited as a person reads: each successful wait
/// continues behind what the one before it found. All members may be used by any thread at any time.
/// </summary>
public class GuestConsole
{
    private const int BacklogBytes = 1 << 20;
    private const int LinesInMessages = 12;

    private readonly object _sync = new();
    private readonly ConsoleTranscript _transcript;
    private readonly List<Waiter> _waiters = [];
    private List<byte> _backlog = [];
    private Action<ReadOnlyMemory<byte>>? _received;
    private Action<Exception>? _failed;
    private long _readTo;
    private bool _pumping;
    private bool _hasNew;
    private string? _ended;

    internal GuestConsole(string name, int transcriptCharacters)
    {
        Name = name;
        _transcript = new ConsoleTranscript(transcriptCharacters);
    }

    /// <summary>
    /// Raised for output as it comes, in order, on a thread of the pool, never two calls of one console at the same time. A handler that cannot keep
    /// up slows the guest down. A handler that throws ends the machine.
    /// </summary>
    public event Action<ReadOnlyMemory<byte>> OutputReceived
    {
        add
        {
            lock (_sync) _received += value;
        }
        remove
        {
            lock (_sync) _received -= value;
        }
    }

    /// <summary>Name, such as <c>COM1</c>.</summary>
    public string Name { get; }

    /// <summary>The output so far (UTF-8), its oldest part left out if it is longer than <see cref="MachineOptions.TranscriptCharacters"/>.</summary>
    public string Output
    {
        get
        {
            lock (_sync) return new string(_transcript.From(0));
        }
    }

    /// <summary>Adds a handler of <see cref="OutputReceived"/> without a gap or an overlap between what it gets and what was printed before.</summary>
    /// <param name="handler">The handler. It may be called before this call returns.</param>
    /// <param name="before">What was printed before, as in <see cref="Output"/>.</param>
    /// <returns>What removes the handler.</returns>
    public IDisposable Follow(Action<ReadOnlyMemory<byte>> handler, out string before)
    {
        ArgumentNullException.ThrowIfNull(handler);
        lock (_sync)
        {
            before = new string(_transcript.From(0));
            var follower = new Follower(this, handler, _backlog.Count);
            _received += follower.Receive;
            return follower;
        }
    }

    /// <summary>Waits until the guest has printed <paramref name="text"/>.</summary>
    /// <param name="text">The text, compared character by character.</param>
    /// <param name="timeout">Host time to wait.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <returns>The output from where the previous wait ended up to and including the text.</returns>
    /// <exception cref="TimeoutException">It has not; the message shows the last lines of output.</exception>
    /// <exception cref="MachineEndedException">The machine has ended without printing it.</exception>
    public Task<string> WaitForTextAsync(string text, TimeSpan timeout, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(text);
        return WaitAsync(new Waiter($"\"{text}\"", text, null), timeout, cancellation);
    }

    /// <summary>Waits until the guest's output matches <paramref name="pattern"/>.</summary>
    /// <param name="pattern">The pattern; it is tried each time output arrives, so the shortest match wins.</param>
    /// <param name="timeout">Host time to wait.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <returns>The output from where the previous wait ended up to and including the match.</returns>
    /// <exception cref="TimeoutException">It does not; the message shows the last lines of output.</exception>
    /// <exception cref="MachineEndedException">The machine has ended without printing it.</exception>
    public Task<string> WaitForTextAsync(Regex pattern, TimeSpan timeout, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        return WaitAsync(new Waiter($"/{pattern}/", null, pattern), timeout, cancellation);
    }

    /// <summary>The last lines of output.</summary>
    public string LastLines(int count)
    {
        lock (_sync) return _transcript.LastLines(count);
    }

    /// <summary>Told of an exception thrown by a handler of <see cref="OutputReceived"/>.</summary>
    internal void OnHandlerFailure(Action<Exception> failed) => _failed = failed;

    /// <summary>The guest printed a byte. Under the machine lock.</summary>
    internal void Receive(byte value) => Receive(new ReadOnlySpan<byte>(in value));

    /// <summary>The guest printed bytes. Under the machine lock.</summary>
    internal void Receive(ReadOnlySpan<byte> data)
    {
        lock (_sync)
        {
            foreach (byte value in data) _transcript.Append(value);
            if (_received is not null)
            {
                // Wait for a slow reader, but not for ever: it may itself be waiting for this processor.
                if (_backlog.Count >= BacklogBytes) Monitor.Wait(_sync, TimeSpan.FromSeconds(1));
                _backlog.AddRange(data);
            }

            if (_received is not null || _waiters.Count > 0) Pump();
        }
    }

    /// <summary>Nothing will be printed any more: waits get their answer.</summary>
    internal void Complete(string reason)
    {
        lock (_sync)
        {
            _ended = reason;
            Pump();
        }
    }

    /// <summary>Waits until everything printed has been handed to <see cref="OutputReceived"/>.</summary>
    internal void Drain(TimeSpan timeout)
    {
        long end = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        lock (_sync)
        {
            while (_pumping)
            {
                long left = end - Environment.TickCount64;
                if (left <= 0 || !Monitor.Wait(_sync, (int)left)) return;
            }
        }
    }

    private async Task<string> WaitAsync(Waiter waiter, TimeSpan timeout, CancellationToken cancellation)
    {
        lock (_sync)
        {
            _waiters.Add(waiter);
            Pump();
        }

        try
        {
            return await waiter.Found.Task.WaitAsync(timeout, cancellation).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"{Name}: {waiter.Description} did not appear within {timeout.TotalSeconds:0.###} s. {Tail()}");
        }
        finally
        {
            lock (_sync) _waiters.Remove(waiter);
        }
    }

    // Under _sync.
    private void Pump()
    {
        _hasNew = true;
        if (_pumping) return;
        _pumping = true;
        ThreadPool.UnsafeQueueUserWorkItem(static console => console.RunPump(), this, preferLocal: false);
    }

    private void RunPump()
    {
        List<byte> spare = [];
        while (true)
        {
            Action<ReadOnlyMemory<byte>>? received;
            byte[] output;
            lock (_sync)
            {
                AnswerWaiters();
                if (!_hasNew && _backlog.Count == 0)
                {
                    _pumping = false;
                    Monitor.PulseAll(_sync);
                    return;
                }

                _hasNew = false;
                received = _received;
                output = [.. _backlog];
                spare.Clear();
                (_backlog, spare) = (spare, _backlog);
                Monitor.PulseAll(_sync);
            }

            if (output.Length > 0 && received is not null) Hand(received, output);
        }
    }

    private void Hand(Action<ReadOnlyMemory<byte>> received, byte[] output)
    {
        try
        {
            received(output);
        }
        catch (Exception exception) when (_failed is not null)
        {
            _failed(exception);
        }
    }

    // Under _sync. The first waiter has the first claim on the output, so its answer decides where the next one begins.
    private void AnswerWaiters()
    {
        while (_waiters.Count > 0)
        {
            Waiter waiter = _waiters[0];
            if (waiter.Found.Task.IsCompleted)
            {
                _waiters.RemoveAt(0);
                continue;
            }

            ReadOnlySpan<char> text = _transcript.From(_readTo);
            long start = _transcript.End - text.Length;
            int end = waiter.Match(text, start);
            if (end >= 0)
            {
                _readTo = start + end;
                _waiters.RemoveAt(0);
                waiter.Found.TrySetResult(text[..end].ToString());
                continue;
            }

            if (_ended is null) return;
            _waiters.RemoveAt(0);
            waiter.Found.TrySetException(new MachineEndedException($"{Name}: {waiter.Description} did not appear: {_ended} {Tail()}"));
        }
    }

    private string Tail()
    {
        string lines = LastLines(LinesInMessages);
        return lines.Length == 0 ? "There was no output." : $"The last output was:{Environment.NewLine}{lines}";
    }

    /// <param name="console">The console.</param>
    /// <param name="handler">Takes the output.</param>
    /// <param name="known">Bytes that are still to be handed out to others, and that the handler knows from the transcript.</param>
    private sealed class Follower(GuestConsole console, Action<ReadOnlyMemory<byte>> handler, int known) : IDisposable
    {
        public void Receive(ReadOnlyMemory<byte> output)
        {
            int skipped = Math.Min(known, output.Length);
            known -= skipped;
            if (skipped < output.Length) handler(output[skipped..]);
        }

        public void Dispose() => console.OutputReceived -= Receive;
    }

    private sealed class Waiter(string description, string? text, Regex? pattern)
    {
        private long _searched;

        public string Description { get; } = description;

        public TaskCompletionSource<string> Found { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>Position behind the first match, or -1. A plain text is not searched for twice in the same output.</summary>
        public int Match(ReadOnlySpan<char> output, long start)
        {
            if (text is not null)
            {
                int skip = (int)Math.Clamp(_searched - start, 0, output.Length);
                int at = output[skip..].IndexOf(text, StringComparison.Ordinal);
                _searched = Math.Max(start, start + output.Length - text.Length + 1);
                return at < 0 ? -1 : skip + at + text.Length;
            }

            foreach (ValueMatch match in pattern!.EnumerateMatches(output)) return match.Index + match.Length;
            return -1;
        }
    }
}
