using Iced.Intel;
using Ringfence.Devices.Storage;
using Ringfence.Execution;
using Ringfence.Processors.Exits;

namespace Ringfence.Machines;

/// <summary>Counters of a machine at one moment, all processors together. While the machine runs they are a moment old.</summary>
public sealed record MachineStatistics
{
    /// <summary>Name of the engine.</summary>
    public required string Engine { get; init; }

    /// <summary>Host time since the start, until the end.</summary>
    public required TimeSpan WallTime { get; init; }

    /// <summary>Guest time since power-on.</summary>
    public required TimeSpan GuestTime { get; init; }

    /// <summary>
    /// Guest instructions executed. With an engine that translates, those in translated code are counted where that was asked for
    /// (<see cref="MachineOptions.CountInstructions"/>) and in deterministic machines; in others this is what was executed outside it, and no
    /// sign of progress.
    /// </summary>
    public required ulong Instructions { get; init; }

    /// <summary>Whether <see cref="Instructions"/> has all of them, and so shows progress.</summary>
    public required bool CountsInstructions { get; init; }

    /// <summary>Million guest instructions a second of wall time, as far as <see cref="Instructions"/> counts them.</summary>
    public double Mips => WallTime > TimeSpan.Zero ? Instructions / WallTime.TotalSeconds / 1e6 : 0;

    /// <summary>Exits by reason; reasons that did not occur are left out.</summary>
    public required IReadOnlyDictionary<ExitReason, long> Exits { get; init; }

    /// <summary>Where the processors' time went; null unless <see cref="MachineOptions.TimeExits"/> is set.</summary>
    public ExecutionTime? Time { get; init; }

    /// <summary>
    /// Privileged and sensitive instructions that reached the monitor, by mnemonic and form (Iced's names); those that an engine runs in
    /// place are not among them.
    /// </summary>
    public required IReadOnlyDictionary<string, long> SensitiveInstructions { get; init; }

    /// <summary>Exceptions delivered, by vector; vectors that did not occur are left out.</summary>
    public required IReadOnlyDictionary<int, long> Exceptions { get; init; }

    /// <summary>External interrupts delivered, by vector; vectors that did not occur are left out.</summary>
    public required IReadOnlyDictionary<int, long> Interrupts { get; init; }

    /// <summary>Instructions that are not implemented and raised #UD, by mnemonic and form.</summary>
    public required IReadOnlyDictionary<string, long> Unimplemented { get; init; }

    /// <summary>Bytes of guest RAM that are in the host's memory.</summary>
    public required ulong TouchedMemoryBytes { get; init; }

    /// <summary>Bytes of I/O at ports nobody answers.</summary>
    public required ulong UnclaimedPortAccesses { get; init; }

    /// <summary>Walks of guest page tables.</summary>
    public required long PageWalks { get; init; }

    /// <summary>Resets since power-on.</summary>
    public required int Resets { get; init; }

    /// <summary>What the drives have done since power-on, by name, in the order of <see cref="MachineOptions.Drives"/>.</summary>
    public required IReadOnlyDictionary<string, BlockDriveStatistics> Drives { get; init; }

    /// <summary>Counters of binary translation; null if the engine does not translate.</summary>
    public TranslatorStatistics? Translator { get; init; }

    internal static unsafe MachineStatistics Take(Pc pc, IReadOnlyList<IExecutionEngine> engines, TimeSpan wallTime, int resets)
    {
        ulong instructions = 0;
        long walks = 0;
        var exits = new SortedDictionary<ExitReason, long>();
        var exceptions = new SortedDictionary<int, long>();
        var interrupts = new SortedDictionary<int, long>();
        var sensitive = new SortedDictionary<string, long>(StringComparer.Ordinal);
        var unimplemented = new SortedDictionary<string, long>(StringComparer.Ordinal);
        foreach (Processors.Processor processor in pc.Processors)
        {
            instructions += processor.State->InstructionCount;
            walks += processor.Mmu.Statistics.Walks;
            foreach (ExitReason reason in Enum.GetValues<ExitReason>()) Add(exits, reason, processor.Exits[reason]);
            long[] bySensitive = processor.Exits.SensitiveInstructions;
            for (int code = 0; code < bySensitive.Length; code++)
            {
                if (bySensitive[code] != 0) Add(sensitive, ((Code)code).ToString(), bySensitive[code]);
            }

            Add(exceptions, processor.Statistics.Exceptions);
            Add(interrupts, processor.Statistics.Interrupts);
            lock (processor.Statistics.Unimplemented)
            {
                foreach ((Code code, long count) in processor.Statistics.Unimplemented) Add(unimplemented, code.ToString(), count);
            }
        }

        IReadOnlyDictionary<string, BlockDriveStatistics> drives;
        lock (pc.Memory.DeviceLock) drives = pc.Drives.Statistics;
        return new MachineStatistics
        {
            Engine = engines[0].Name,
            WallTime = wallTime,
            GuestTime = TimeSpan.FromTicks(pc.Clock.Now / TimeSpan.NanosecondsPerTick),
            Instructions = instructions,
            CountsInstructions = engines[0].CountsInstructions,
            Exits = exits,
            SensitiveInstructions = sensitive,
            Time = ExecutionTime.Take(pc.Processors),
            Exceptions = exceptions,
            Interrupts = interrupts,
            Unimplemented = unimplemented,
            TouchedMemoryBytes = pc.Memory.TouchedBytes,
            UnclaimedPortAccesses = pc.Ports.UnclaimedReads + pc.Ports.UnclaimedWrites,
            PageWalks = walks,
            Resets = resets,
            Drives = drives,
            Translator = TranslatorStatistics.Take(engines),
        };
    }

    private static void Add(SortedDictionary<int, long> sums, long[] counts)
    {
        for (int i = 0; i < counts.Length; i++) Add(sums, i, counts[i]);
    }

    private static void Add<TKey>(SortedDictionary<TKey, long> sums, TKey key, long count)
        where TKey : notnull
    {
        if (count != 0) sums[key] = sums.GetValueOrDefault(key) + count;
    }
}
