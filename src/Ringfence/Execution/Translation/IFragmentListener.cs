using Iced.Intel;
using Ringfence.Execution.Translation.Listing;

namespace Ringfence.Execution.Translation;

/// <summary>Is shown what a unit's instructions became.</summary>
internal interface IFragmentListener
{
    /// <summary>The code of one instruction has been emitted.</summary>
    /// <param name="index">Number of the instruction in its unit; -1 for the way on behind the last one.</param>
    /// <param name="instruction">The guest's instruction.</param>
    /// <param name="kind">How it was translated.</param>
    /// <param name="start">Where its main code begins, as an offset of the cache.</param>
    /// <param name="end">Where it ends.</param>
    /// <param name="rareStart">Where its rare code begins.</param>
    /// <param name="rareEnd">Where it ends.</param>
    void Emitted(int index, in Instruction instruction, TranslationKind kind, int start, int end, int rareStart, int rareEnd);

    /// <summary>Some code serves a purpose of its own. Told before what it is a part of, and as soon as it has been emitted.</summary>
    /// <param name="label">The purpose.</param>
    /// <param name="start">Where the code begins, as an offset of the cache.</param>
    /// <param name="end">Where it ends.</param>
    void Marked(HostCodeLabel label, int start, int end);
}
