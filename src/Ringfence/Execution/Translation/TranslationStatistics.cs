using Iced.Intel;

namespace Ringfence.Execution.Translation;

/// <summary>Counters of a translator. Written by its processor's thread, read by anyone.</summary>
internal sealed class TranslationStatistics
{
    private static readonly int CodeCount = Enum.GetValues<Code>().Length;

    /// <summary>Counters by size of the code: 16, 32 and 64 bits.</summary>
    public SizeStatistics[] Sizes { get; } = [new(), new(), new()];

    /// <summary>Call-outs to the shared definitions of instructions that are not translated, by Iced's <see cref="Code"/>.</summary>
    public long[] InstructionsByCode { get; } = new long[CodeCount];

    /// <summary>Call-outs of translated instructions whose checks failed, by Iced's <see cref="Code"/>.</summary>
    public long[] ChecksByCode { get; } = new long[CodeCount];

    /// <summary>Times the whole cache was thrown away because it was full.</summary>
    public long Flushes;
}
