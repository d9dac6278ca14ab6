using Ringfence.Processors;

namespace Ringfence.Tests;

public sealed unsafe class StatusFlagsTests
{
    [Fact]
    public void Every_combination_of_the_six_flags_survives_being_set_and_read()
    {
        VcpuState state = default;
        for (ulong i = 0; i < 4096; i++)
        {
            ulong flags = i & RflagsBits.Status;
            StatusFlags.Set(ref state, flags);
            StatusFlags.Get(in state).ShouldBe(flags);
        }
    }
}
