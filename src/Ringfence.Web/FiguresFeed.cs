using System.Diagnostics;
using System.Text.Json;
using Ringfence.Devices.Storage;
using Ringfence.Machines;
using Ringfence.Processors.Exits;

namespace Ringfence.Web;

/// <summary>
/// The machine's figures as the page gets them: a JSON object, made when a reader asks and shared by those who ask at about the same time.
/// Without readers there is no work.
/// </summary>
internal sealed class FiguresFeed(VirtualMachine machine, IReadOnlyList<InteractiveConsole> consoles, TimeSpan interval, WebCounters counters)
{
    // Who else pauses or resumes the machine does not tell anyone: it is asked that often.
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(100);

    private readonly Lock _sync = new();
    private readonly Signal _changed = new();
    private byte[] _figures = [];
    private MachineState _state;
    private long _taken;
    private volatile bool _isComplete;

    /// <summary>Whether there will be no other figures than those of the end.</summary>
    public bool IsComplete => _isComplete;

    /// <summary>The figures now.</summary>
    public (byte[] Json, MachineState State) Take()
    {
        lock (_sync)
        {
            MachineState state = machine.State;
            if (_figures.Length == 0 || state != _state || Stopwatch.GetElapsedTime(_taken) > interval / 2)
            {
                _figures = Write(state);
                _state = state;
                _taken = Stopwatch.GetTimestamp();
            }

            return (_figures, _state);
        }
    }

    /// <summary>Waits until it is time for the next figures: the interval is over, or the machine's state has changed.</summary>
    public async Task WaitAsync(MachineState state, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        Task changed = _changed.Next;
        while (Stopwatch.GetElapsedTime(start) < interval && machine.State == state && !changed.IsCompleted && !_isComplete)
        {
            using CancellationTokenSource wait = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            await Task.WhenAny(changed, Task.Delay(LookInterval, wait.Token)).ConfigureAwait(false);
            await wait.CancelAsync().ConfigureAwait(false);
            cancellation.ThrowIfCancellationRequested();
        }
    }

    /// <summary>The state may have changed: whoever waits looks at once.</summary>
    public void Pulse() => _changed.Pulse();

    /// <summary>The next figures are the last.</summary>
    public void Complete()
    {
        _isComplete = true;
        _changed.Pulse();
    }

    private static string NameOf(MachineState state) => state switch
    {
        MachineState.Ended => "ended",
        MachineState.Running => "running",
        _ => "paused",
    };

    private byte[] Write(MachineState state)
    {
        MachineStatistics statistics = machine.Statistics;
        using MemoryStream bytes = new();
        using (Utf8JsonWriter json = new(bytes))
        {
            json.WriteStartObject();
            json.WriteString("name", machine.Options.Name);
            json.WriteString("engine", statistics.Engine);
            json.WriteString("state", NameOf(state));
            WriteEnd(json, state);
            json.WriteBoolean("screen", machine.Screen is not null);
            json.WriteStartArray("serial");
            foreach (InteractiveConsole console in consoles) json.WriteStringValue(console.Name);
            json.WriteEndArray();
            json.WriteNumber("memoryBytes", machine.Options.MemoryBytes);
            json.WriteNumber("processors", machine.Options.ProcessorCount);
            json.WriteNumber("time", statistics.WallTime.TotalSeconds);
            json.WriteNumber("guestTime", statistics.GuestTime.TotalSeconds);
            if (statistics.CountsInstructions) json.WriteNumber("instructions", statistics.Instructions);
            else json.WriteNull("instructions");
            json.WriteStartObject("exits");
            foreach ((ExitReason reason, long count) in statistics.Exits) json.WriteNumber(reason.ToString(), count);
            json.WriteEndObject();
            json.WriteNumber("touchedBytes", statistics.TouchedMemoryBytes);
            json.WriteNumber("resets", statistics.Resets);
            WriteDrives(json, statistics);
            json.WriteNumber("clients", Volatile.Read(ref counters.Clients));
            json.WriteEndObject();
        }

        return bytes.ToArray();
    }

    private void WriteEnd(Utf8JsonWriter json, MachineState state)
    {
        if (state != MachineState.Ended)
        {
            json.WriteNull("ended");
            return;
        }

        MachineExit exit = machine.Completion.GetAwaiter().GetResult();
        json.WriteStartObject("ended");
        json.WriteString("reason", exit.Reason.ToString());
        json.WriteNumber("exitCode", exit.ExitCode);
        json.WriteString("report", exit.Report);
        json.WriteEndObject();
    }

    private static void WriteDrives(Utf8JsonWriter json, MachineStatistics statistics)
    {
        json.WriteStartArray("drives");
        foreach ((string name, BlockDriveStatistics drive) in statistics.Drives)
        {
            json.WriteStartObject();
            json.WriteString("name", name);
            json.WriteNumber("readBytes", drive.BytesRead);
            json.WriteNumber("writtenBytes", drive.BytesWritten);
            json.WriteNumber("reads", drive.Reads);
            json.WriteNumber("writes", drive.Writes);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
