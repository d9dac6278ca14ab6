using Iced.Intel;
using Ringfence.Execution.Interpretation;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Interpretation;

/// <summary>The interpreter's own cache of decoded blocks. No other engine has it, so these tests are no engine's row.</summary>
public sealed class BlockCacheTests
{
    [Fact]
    public void Data_beside_code_in_one_page_is_written_without_throwing_the_code_away()
    {
        using var machine = new BareProcessor(processor => new Interpreter(processor));
        machine.Load(a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.add(__dword_ptr[BareProcessor.Code + 0x800], 1);
            a.jmp(top);
        });
        machine.Run(2000);
        machine.Read(BareProcessor.Code + 0x800).ShouldBe(1000u);
        ((Interpreter)machine.Engine).Cache.Invalidations.ShouldBe(0);
    }

    [Fact]
    public void Every_change_of_code_throws_its_blocks_away()
    {
        using var machine = new BareProcessor(processor => new Interpreter(processor));
        machine.Load(a =>
        {
            Label top = a.CreateLabel();
            a.mov(edi, 0x20000);
            a.mov(__byte_ptr[edi], 0xb8);           // mov eax, imm32
            a.mov(__byte_ptr[edi + 5], 0xc3);       // ret
            a.Label(ref top);
            a.mov(__dword_ptr[edi + 1], ecx);
            a.call(edi);
            a.inc(ecx);
            a.jmp(top);
        });
        machine.Run(6000);
        ((Interpreter)machine.Engine).Cache.Invalidations.ShouldBeGreaterThan(900);
    }
}
