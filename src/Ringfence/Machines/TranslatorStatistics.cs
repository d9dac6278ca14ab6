using System.Diagnostics;
using Iced.Intel;
using Ringfence.Execution;
using Ringfence.Execution.Translation;

namespace Ringfence.Machines;

/// <summary>Counters of binary translation, all processors together.</summary>
public sealed record TranslatorStatistics
{
    private const int MostFrequent = 30;

    /// <summary>By size of the guest code: 16, 32 and 64 bits.</summary>
    public required IReadOnlyList<TranslatedCodeStatistics> Sizes { get; init; }

    /// <summary>Bytes of host code in the caches now.</summary>
    public required long CacheBytes { get; init; }

    /// <summary>Times a full cache was thrown away.</summary>
    public required long CacheFlushes { get; init; }

    /// <summary>Units that were compared with the interpreter: see <see cref="EngineKind.LockStep"/>.</summary>
    public required long ComparedUnits { get; init; }

    /// <summary>Call-outs to the definitions of instructions that are not translated: the most frequent ones, by form, in falling order.</summary>
    public required IReadOnlyList<KeyValuePair<string, long>> InstructionCallOuts { get; init; }

    /// <summary>The same for translated instructions whose checks failed.</summary>
    public required IReadOnlyList<KeyValuePair<string, long>> CheckCallOuts { get; init; }

    internal static TranslatorStatistics? Take(IReadOnlyList<IExecutionEngine> engines)
    {
        Translator[] translators = [.. engines.OfType<Translator>()];
        return translators.Length == 0 ? null : new TranslatorStatistics
        {
            Sizes = [.. Enumerable.Range(0, 3).Select(kind => TakeSize(kind, [.. translators.Select(t => t.Statistics.Sizes[kind])]))],
            CacheBytes = translators.Sum(t => t.CacheBytes),
            CacheFlushes = translators.Sum(t => t.Statistics.Flushes),
            ComparedUnits = translators.Sum(t => t.Compared),
            InstructionCallOuts = Top([.. translators.Select(t => t.Statistics.InstructionsByCode)]),
            CheckCallOuts = Top([.. translators.Select(t => t.Statistics.ChecksByCode)]),
        };
    }

    private static TranslatedCodeStatistics TakeSize(int kind, SizeStatistics[] all) => new()
    {
        Bits = 16 << kind,
        Units = all.Sum(s => s.Units),
        Instructions = all.Sum(s => s.Instructions),
        GuestBytes = all.Sum(s => s.GuestBytes),
        HostBytes = all.Sum(s => s.HostBytes),
        ChainedExits = all.Sum(s => s.Chained),
        LookUpMisses = all.Sum(s => s.LookUpMisses),
        TlbRefills = all.Sum(s => s.TlbRefills),
        InstructionCallOuts = all.Sum(s => s.InstructionCallOuts),
        CheckCallOuts = all.Sum(s => s.CheckCallOuts),
        EventExits = all.Sum(s => s.Polls),
        Invalidations = all.Sum(s => s.Invalidations),
        Adaptations = all.Sum(s => s.Adaptations),
        TranslationTime = TimeSpan.FromSeconds(all.Sum(s => s.Ticks) / (double)Stopwatch.Frequency),
    };

    private static List<KeyValuePair<string, long>> Top(long[][] counts)
    {
        var sums = new List<KeyValuePair<string, long>>();
        for (int code = 0; code < counts[0].Length; code++)
        {
            long sum = counts.Sum(c => c[code]);
            if (sum != 0) sums.Add(new(((Code)code).ToString(), sum));
        }

        return [.. sums.OrderByDescending(e => e.Value).Take(MostFrequent)];
    }
}
