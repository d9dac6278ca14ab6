using System.Runtime.InteropServices;
using System.Text;
using Iced.Intel;
using Ringfence.Tests.FloatingPoint;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Simd;

public sealed unsafe class MmxStateTests
{
    /// <summary>Two values on the x87 stack: TOP 6, registers 6 and 7 valid.</summary>
    private const ushort StatusBefore = 6 << 11;
    private const byte TagBefore = 0xc0;

    [EngineFact]
    public void Every_form_changes_the_x87_stack_as_the_host_does()
    {
        Skip.IfNot(HostCode.IsSupported);
        using var guest = new SimdGuest();
        var random = new Random(1);
        var failures = new StringBuilder();
        byte* data = (byte*)NativeMemory.AlignedAlloc(SimdCase.Size, 64);
        foreach (Code code in SimdForms.Codes().Append(Code.Emms))
        {
            foreach (bool memory in new[] { false, true })
            {
                if (!SimdForms.TryCreate(code, memory, random, out Instruction instruction)) continue;
                new Span<byte>(data, SimdCase.Size).Clear();
                using var host = new HostCode(a =>
                {
                    a.fninit();
                    a.fld1();
                    a.fld1();
                    a.AddInstruction(instruction);
                    a.fnstenv(__[rdi]);
                    a.emms();
                    a.ret();
                });
                host.Call(data);
                string expected = $"TOP {(*(ushort*)(data + 4) >> 11) & 7} tag {Abridged(*(ushort*)(data + 8)):x}";
                guest.Load(instruction);
                guest.State->X87Status = StatusBefore;
                guest.State->X87Tag = TagBefore;
                guest.State->Gpr[7] = SimdGuest.Data;
                guest.Execute().ShouldBeTrue();
                string actual = $"TOP {(guest.State->X87Status >> 11) & 7} tag {guest.State->X87Tag:x}";
                if (actual != expected) failures.AppendLine($"{instruction}: host {expected}, guest {actual}");
            }
        }

        NativeMemory.AlignedFree(data);
        failures.ToString().ShouldBeEmpty();
    }

    [EngineFact]
    public void Writing_an_mmx_register_sets_its_sign_and_exponent_to_all_ones()
    {
        using var guest = new SimdGuest();
        guest.Load(Instruction.Create(Code.Movq_mm_mmm64, Register.MM5, Register.MM2));
        guest.State->X87Significand[2] = 0x1234;
        guest.Execute().ShouldBeTrue();
        guest.State->X87Significand[5].ShouldBe(0x1234UL);
        guest.State->X87SignExponent[5].ShouldBe((ushort)0xffff);
        guest.State->X87SignExponent[2].ShouldBe((ushort)0);
    }

    private static byte Abridged(ushort tags)
    {
        byte result = 0;
        for (int i = 0; i < 8; i++)
            if (((tags >> (2 * i)) & 3) != 3) result |= (byte)(1 << i);
        return result;
    }
}
