using Ringfence.Processors;
using Ringfence.Processors.Exits;

namespace Ringfence.Machines;

/// <summary>
/// Where the processors' time went, all processors together: the sum of <see cref="GuestCode"/>, <see cref="Idle"/> and
/// <see cref="Exits"/> is the wall time times the number of processors, but for what the machine did outside them.
/// </summary>
public sealed record ExecutionTime
{
    /// <summary>In guest code: translated code, or handlers of innocuous instructions of the interpreter.</summary>
    public required TimeSpan GuestCode { get; init; }

    /// <summary>Asleep: halted, not started yet, or paused.</summary>
    public required TimeSpan Idle { get; init; }

    /// <summary>In the monitor, by exit reason; reasons that took no time are left out.</summary>
    public required IReadOnlyDictionary<ExitReason, TimeSpan> Exits { get; init; }

    /// <summary>In the monitor, all reasons together.</summary>
    public TimeSpan Monitor => Exits.Values.Aggregate(TimeSpan.Zero, (sum, time) => sum + time);

    /// <summary>Everything.</summary>
    public TimeSpan Total => GuestCode + Idle + Monitor;

    internal static ExecutionTime? Take(IReadOnlyList<Processor> processors)
    {
        if (!processors[0].Exits.IsTimed) return null;
        var exits = new SortedDictionary<ExitReason, TimeSpan>();
        foreach (ExitReason reason in Enum.GetValues<ExitReason>())
        {
            var time = new TimeSpan(processors.Sum(p => p.Exits.TimeOf(reason).Ticks));
            if (time > TimeSpan.Zero) exits[reason] = time;
        }

        return new ExecutionTime
        {
            GuestCode = new TimeSpan(processors.Sum(p => p.Exits.GuestTime.Ticks)),
            Idle = new TimeSpan(processors.Sum(p => p.Exits.IdleTime.Ticks)),
            Exits = exits,
        };
    }
}
