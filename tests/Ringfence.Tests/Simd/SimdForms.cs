using Iced.Intel;

namespace Ringfence.Tests.Simd;

/// <summary>Every form of the MMX and SSE instructions whose effects lie in registers, MXCSR, flags and one memory operand.</summary>
internal static class SimdForms
{
    private static readonly CpuidFeature[] Features =
    [
        CpuidFeature.MMX, CpuidFeature.SSE, CpuidFeature.SSE2, CpuidFeature.SSE3, CpuidFeature.SSSE3, CpuidFeature.SSE4_1, CpuidFeature.SSE4_2,
    ];

    public static IEnumerable<Code> Codes()
    {
        foreach (Code code in Enum.GetValues<Code>())
        {
            OpCodeInfo info = code.ToOpCode();
            if (!info.IsInstruction || info.Encoding != EncodingKind.Legacy || !info.Mode64) continue;
            var features = code.CpuidFeatures();
            if (!features.All(f => Features.Contains(f))) continue;
            if (code.Mnemonic() is Mnemonic.Ldmxcsr or Mnemonic.Maskmovq or Mnemonic.Maskmovdqu or Mnemonic.Emms or Mnemonic.Prefetchnta
                or Mnemonic.Prefetcht0 or Mnemonic.Prefetcht1 or Mnemonic.Prefetcht2 or Mnemonic.Lfence or Mnemonic.Sfence or Mnemonic.Mfence
                or Mnemonic.Clflush or Mnemonic.Pause) continue;
            if (code.Mnemonic() == Mnemonic.Nop) continue;
            yield return code;
        }
    }

    /// <summary>Makes the instruction with random registers; false if it has no such form.</summary>
    public static bool TryCreate(Code code, bool memory, Random random, out Instruction instruction)
    {
        instruction = new Instruction { Code = code };
        OpCodeInfo info = code.ToOpCode();
        bool hasMemory = false;
        bool memoryOnly = false;
        for (int i = 0; i < info.OpCount; i++)
        {
            OpCodeOperandKind kind = info.GetOpKind(i);
            Register register = RegisterOf(kind, random, out bool orMemory);
            if (kind == OpCodeOperandKind.imm8)
            {
                instruction.SetOpKind(i, OpKind.Immediate8);
                instruction.Immediate8 = (byte)random.Next(256);
            }
            else if (kind == OpCodeOperandKind.mem || (orMemory && memory))
            {
                memoryOnly |= kind == OpCodeOperandKind.mem;
                hasMemory = true;
                instruction.SetOpKind(i, OpKind.Memory);
                instruction.MemoryBase = Register.RDI;
                instruction.MemoryDisplacement64 = SimdCase.Memory;
                instruction.MemoryDisplSize = 8;
            }
            else if (register != Register.None)
            {
                instruction.SetOpKind(i, OpKind.Register);
                instruction.SetOpRegister(i, register);
            }
            else
            {
                throw new InvalidOperationException($"{code} has an operand {kind}.");
            }
        }

        return memory == hasMemory || (memoryOnly && memory);
    }

    private static Register RegisterOf(OpCodeOperandKind kind, Random random, out bool orMemory)
    {
        string name = kind.ToString();
        orMemory = name.Contains("or_mem", StringComparison.Ordinal);
        int n = random.Next(3);
        if (name.StartsWith("xmm", StringComparison.Ordinal)) return Register.XMM0 + random.Next(4);
        if (name.StartsWith("mm_", StringComparison.Ordinal)) return Register.MM0 + random.Next(4);
        if (name.StartsWith("r8", StringComparison.Ordinal)) return Register.AL + n;
        if (name.StartsWith("r16", StringComparison.Ordinal)) return Register.AX + n;
        if (name.StartsWith("r32", StringComparison.Ordinal)) return Register.EAX + n;
        return name.StartsWith("r64", StringComparison.Ordinal) ? Register.RAX + n : Register.None;
    }
}
