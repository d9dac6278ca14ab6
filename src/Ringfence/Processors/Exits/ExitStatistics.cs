namespace Ringfence.Processors.Exits;

/// <summary>Counts of exits by reason, of one processor. Written by its thread, read by anyone.</summary>
public sealed class ExitStatistics
{
    private readonly long[] _counts = new long[Enum.GetValues<ExitReason>().Length];

    /// <summary>Exits of one reason so far.</summary>
    public long this[ExitReason reason] => Volatile.Read(ref _counts[(int)reason]);

    /// <summary>Counts an exit.</summary>
    internal void Count(ExitReason reason) => _counts[(int)reason]++;
}
