using Ringfence.Processors;

namespace Ringfence.Execution;

/// <summary>The size of the code being executed, as an index: 0 for 16-bit, 1 for 32-bit, 2 for 64-bit code.</summary>
internal static unsafe class CodeSize
{
    /// <summary>The size of the code the processor executes now.</summary>
    public static int KindOf(VcpuState* s) => s->Mode == ProcessorMode.Long ? 2 : s->Segment(SegmentIndex.Cs).IsBig ? 1 : 0;
}
