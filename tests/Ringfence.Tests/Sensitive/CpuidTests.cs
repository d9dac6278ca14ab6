using System.Text;
using Ringfence.Processors.Sensitive;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Sensitive;

/// <summary>What CPUID says, and that it is true (Intel SDM 2A "CPUID").</summary>
public sealed unsafe class CpuidTests
{
    [Fact]
    public void The_processor_is_a_family_6_Intel_with_its_own_brand()
    {
        using var machine = new TestMachine();
        CpuidLeaf zero = Get(machine, 0);
        zero.Eax.ShouldBe(0x16U);
        Text(zero.Ebx, zero.Edx, zero.Ecx).ShouldBe("GenuineIntel");
        CpuidLeaf one = Get(machine, 1);
        ((one.Eax >> 8) & 15).ShouldBe(6U);
        ((one.Eax >> 4) & 15).ShouldBe(15U);
        (one.Eax & 15).ShouldBe(11U);
        var brand = new StringBuilder();
        for (uint leaf = 0x8000_0002; leaf <= 0x8000_0004; leaf++)
        {
            CpuidLeaf part = Get(machine, leaf);
            brand.Append(Text(part.Eax, part.Ebx, part.Ecx, part.Edx));
        }

        brand.ToString().TrimEnd('\0').ShouldBe("Ringfence Virtual Processor");
        CpuidLeaf hypervisor = Get(machine, 0x4000_0000);
        Text(hypervisor.Ebx, hypervisor.Ecx, hypervisor.Edx).ShouldBe("RingfenceVMM");
    }

    [Theory]
    [InlineData(1, 'c', 26)] // XSAVE
    [InlineData(1, 'c', 27)] // OSXSAVE
    [InlineData(1, 'c', 28)] // AVX
    [InlineData(1, 'c', 25)] // AES
    [InlineData(1, 'c', 1)] // PCLMULQDQ
    [InlineData(1, 'c', 3)] // MONITOR
    [InlineData(1, 'c', 5)] // VMX
    [InlineData(1, 'c', 12)] // FMA
    [InlineData(1, 'c', 17)] // PCID
    [InlineData(1, 'd', 1)] // VME
    [InlineData(7, 'b', 3)] // BMI1
    [InlineData(7, 'b', 5)] // AVX2
    public void Features_that_do_not_exist_are_not_offered(uint leaf, char register, int bit)
    {
        using var machine = new TestMachine();
        CpuidLeaf answer = Get(machine, leaf);
        uint value = register switch { 'b' => answer.Ebx, 'c' => answer.Ecx, _ => answer.Edx };
        (value & (1U << bit)).ShouldBe(0U);
    }

    [Fact]
    public void The_level_is_x86_64_v2()
    {
        using var machine = new TestMachine();
        CpuidLeaf one = Get(machine, 1);
        const uint Baseline = (1 << 0) | (1 << 8) | (1 << 15) | (1 << 23) | (1 << 24) | (1 << 25) | (1 << 26);
        const uint V2 = (1 << 0) | (1 << 9) | (1 << 13) | (1 << 19) | (1 << 20) | (1 << 23);
        (one.Edx & Baseline).ShouldBe(Baseline);
        (one.Ecx & V2).ShouldBe(V2);
        CpuidLeaf extended = Get(machine, 0x8000_0001);
        (extended.Ecx & 1).ShouldBe(1U);
        const uint Long = (1 << 11) | (1 << 20) | (1 << 26) | (1 << 27) | (1 << 29);
        (extended.Edx & Long).ShouldBe(Long);
    }

    [Fact]
    public void Addresses_have_40_physical_and_48_linear_bits_and_the_counter_is_invariant()
    {
        using var machine = new TestMachine();
        (Get(machine, 0x8000_0008).Eax & 0xffff).ShouldBe(0x3028U);
        (Get(machine, 0x8000_0007).Edx & 0x100).ShouldBe(0x100U);
    }

    [Fact]
    public void Leaf_15h_gives_the_counters_rate()
    {
        using var machine = new TestMachine();
        CpuidLeaf leaf = Get(machine, 0x15);
        ((ulong)leaf.Ecx * leaf.Ebx / leaf.Eax).ShouldBe(machine.Bus.TimestampFrequency);
        Get(machine, 0x16).Eax.ShouldBe(2000U);
        Get(machine, 0x4000_0010).Eax.ShouldBe(2_000_000U);
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 1)]
    [InlineData(3, 2)]
    [InlineData(8, 3)]
    public void The_topology_has_a_core_for_each_processor(int processors, uint shift)
    {
        using var machine = new TestMachine(processors);
        CpuidLeaf threads = CpuidModel.Get(machine.Processor, 0xb, 0);
        threads.Eax.ShouldBe(0U);
        threads.Ebx.ShouldBe(1U);
        ((threads.Ecx >> 8) & 0xff).ShouldBe(1U);
        CpuidLeaf cores = CpuidModel.Get(machine.Processor, 0xb, 1);
        cores.Eax.ShouldBe(shift);
        cores.Ebx.ShouldBe((uint)processors);
        ((cores.Ecx >> 8) & 0xff).ShouldBe(2U);
        ((CpuidModel.Get(machine.Processor, 0xb, 2).Ecx >> 8) & 0xff).ShouldBe(0U);
    }

    [Fact]
    public void The_APIC_bit_follows_the_enable_bit_of_IA32_APIC_BASE()
    {
        using var machine = new TestMachine();
        (Get(machine, 1).Edx & (1 << 9)).ShouldNotBe(0U);
        machine.Bus.ApicBase = 0xfee0_0100;
        (Get(machine, 1).Edx & (1 << 9)).ShouldBe(0U);
    }

    [Fact]
    public void Leaves_above_the_highest_answer_as_the_highest_basic_leaf()
    {
        using var machine = new TestMachine();
        Get(machine, 0x17).ShouldBe(Get(machine, 0x16));
        Get(machine, 0x8000_0009).ShouldBe(Get(machine, 0x16));
        Get(machine, 0xd).ShouldBe(default);
        Get(machine, 0xa).ShouldBe(default);
    }

    [EngineFact]
    public void The_instruction_clears_the_upper_halves()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.State->Gpr[0] = 0xffff_ffff_0000_0000;
        machine.State->Gpr[3] = ulong.MaxValue;
        machine.Emit(0x0f, 0xa2, 0x0f, 0x0b);
        machine.RunToVector().ShouldBe(6);
        machine.State->Gpr[0].ShouldBe(0x16UL);
        machine.State->Gpr[3].ShouldBe(0x756e_6547UL);
    }

    private static CpuidLeaf Get(TestMachine machine, uint leaf) => CpuidModel.Get(machine.Processor, leaf, 0);

    private static string Text(params uint[] words) => string.Concat(words.Select(w => Encoding.ASCII.GetString(BitConverter.GetBytes(w))));
}
