using Iced.Intel;

namespace Ringfence.Tests.Differential;

/// <summary>
/// Compares two outcomes of an instruction in everything the architecture defines. What it leaves undefined comes from
/// Iced's tables, narrowed where the manual is narrower (shift counts); what the vendors define differently stands in
/// <see cref="VendorDifferences"/>.
/// </summary>
internal static unsafe class Comparison
{
    private const ulong Cf = 1, Pf = 4, Af = 0x10, Zf = 0x40, Sf = 0x80, Of = 0x800;
    private const ulong ComparedFlags = Cf | Pf | Af | Zf | Sf | Of | 0x400 | 0x4_0000 | 0x20_0000;

    /// <summary>The differences, a line each; empty if there is none. First is the host, second the engine.</summary>
    public static List<string> Differences(TestInstruction test, in CpuImage before, in CpuImage host, in CpuImage guest)
    {
        List<string> differences = [];
        Instruction instruction = test.Decoded;
        Add("vector", (ulong)host.Vector, (ulong)guest.Vector);
        if (host.Vector != guest.Vector) return differences;
        Add("error code", host.ErrorCode, guest.ErrorCode);
        Add("CR2", host.FaultAddress, guest.FaultAddress);
        Add("RIP", host.Rip, guest.Rip);
        bool is64 = test.Bitness == 64;
        for (int i = 0; i < (is64 ? 16 : 8); i++)
        {
            ulong mask = VendorDifferences.ComparedBits(instruction, before, i) & (is64 ? ulong.MaxValue : uint.MaxValue);
            Add((Register.RAX + i).ToString(), host.Gpr[i] & mask, guest.Gpr[i] & mask);
        }

        ulong flags = ComparedFlags & ~UndefinedFlags(instruction, before);
        Add("RFLAGS", host.Rflags & flags, guest.Rflags & flags);
        CompareFx(instruction, host, guest, differences);
        CompareMemory(instruction, before, host, guest, differences);
        return differences;

        void Add(string name, ulong expected, ulong actual)
        {
            if (expected != actual) differences.Add($"{name}: host 0x{expected:x}, engine 0x{actual:x}");
        }
    }

    /// <summary>Bits of RFLAGS the instruction leaves undefined in this state.</summary>
    public static ulong UndefinedFlags(in Instruction instruction, in CpuImage before)
    {
        ulong undefined = ToRflags(instruction.RflagsUndefined);
        int width = instruction.OpCount == 0 ? 0 : instruction.Op0Kind == OpKind.Register ? instruction.Op0Register.GetSize() : instruction.MemorySize.GetSize();
        switch (instruction.Mnemonic)
        {
            // Intel SDM 2B: count 0 changes no flag; OF is defined for 1-bit shifts only; CF is undefined for SHL and SHR past the width.
            case Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Shld or Mnemonic.Shrd:
                int count = CountOf(instruction, before) & (width == 8 ? 63 : 31);
                bool wide = instruction.Mnemonic is Mnemonic.Shld or Mnemonic.Shrd;
                if (count == 0) return 0;
                undefined |= Af;
                undefined = count == 1 ? undefined & ~Of : undefined | Of;
                if (count > width * 8 && wide) return Cf | Pf | Af | Zf | Sf | Of;
                if (count >= width * 8 && instruction.Mnemonic is not Mnemonic.Sar) undefined |= Cf;
                break;
            case Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr:
                count = CountOf(instruction, before) & (width == 8 ? 63 : 31);
                undefined = count is 0 or 1 ? 0 : Of;
                break;
            default:
                break;
        }

        return undefined;
    }

    /// <summary>The count of a shift or rotate.</summary>
    public static int CountOf(in Instruction instruction, in CpuImage before)
    {
        int last = instruction.OpCount - 1;
        return instruction.GetOpKind(last) == OpKind.Register ? (byte)before.Gpr[1] : (byte)instruction.GetImmediate(last);
    }

    private static ulong ToRflags(RflagsBits bits) =>
        ((bits & RflagsBits.CF) != 0 ? Cf : 0) | ((bits & RflagsBits.PF) != 0 ? Pf : 0) | ((bits & RflagsBits.AF) != 0 ? Af : 0)
        | ((bits & RflagsBits.ZF) != 0 ? Zf : 0) | ((bits & RflagsBits.SF) != 0 ? Sf : 0) | ((bits & RflagsBits.OF) != 0 ? Of : 0);

    private static void CompareFx(in Instruction instruction, in CpuImage host, in CpuImage guest, List<string> differences)
    {
        fixed (byte* a = host.Fx, b = guest.Fx)
        {
            Compare("FCW", *(ushort*)a, *(ushort*)b);
            int conditions = VendorDifferences.ComparedConditionCodes(instruction, *(ushort*)(a + 2));
            Compare("FSW", (ulong)(*(ushort*)(a + 2) & (0xb8ff | conditions)), (ulong)(*(ushort*)(b + 2) & (0xb8ff | conditions)));
            Compare("FTW", a[4], b[4]);
            Compare("MXCSR", *(uint*)(a + 24), *(uint*)(b + 24));
            ulong tolerance = VendorDifferences.X87Tolerance(instruction);
            for (int i = 0; i < 8; i++)
            {
                ulong* x = (ulong*)(a + 32 + (i * 16));
                ulong* y = (ulong*)(b + 32 + (i * 16));
                if (x[0] == y[0] && (ushort)x[1] == (ushort)y[1]) continue;
                if (tolerance != 0 && IsNear(x[0], (ushort)x[1], y[0], (ushort)y[1], tolerance)) continue;
                differences.Add($"ST({i}): host {(ushort)x[1]:x4}_{x[0]:x16}, engine {(ushort)y[1]:x4}_{y[0]:x16}");
            }

            for (int i = 0; i < 16; i++)
            {
                ulong* x = (ulong*)(a + 160 + (i * 16));
                ulong* y = (ulong*)(b + 160 + (i * 16));
                if (x[0] == y[0] && x[1] == y[1]) continue;
                if (VendorDifferences.IsApproximation(instruction) && AreNear((float*)x, (float*)y)) continue;
                differences.Add($"XMM{i}: host {x[1]:x16}_{x[0]:x16}, engine {y[1]:x16}_{y[0]:x16}");
            }
        }

        void Compare(string name, ulong expected, ulong actual)
        {
            if (expected != actual) differences.Add($"{name}: host 0x{expected:x}, engine 0x{actual:x}");
        }
    }

    private static bool IsNear(ulong a, ushort aTop, ulong b, ushort bTop, ulong tolerance)
    {
        Int128 x = ((Int128)(aTop & 0x7fff) << 63) + (Int128)(a & long.MaxValue);
        Int128 y = ((Int128)(bTop & 0x7fff) << 63) + (Int128)(b & long.MaxValue);
        return (aTop & 0x8000) == (bTop & 0x8000) && Int128.Abs(x - y) <= (Int128)tolerance;
    }

    /// <summary>RCPPS and RSQRTPS: relative error at most 1.5 * 2^-12 (Intel SDM 2B), so at most twice that apart.</summary>
    private static bool AreNear(float* a, float* b)
    {
        for (int i = 0; i < 4; i++)
        {
            if (BitConverter.SingleToUInt32Bits(a[i]) == BitConverter.SingleToUInt32Bits(b[i])) continue;
            if (float.IsNaN(a[i]) || float.IsNaN(b[i]) || MathF.Abs(a[i] - b[i]) > MathF.Abs(a[i]) * (3f / 4096)) return false;
        }

        return true;
    }

    private static void CompareMemory(in Instruction instruction, in CpuImage before, in CpuImage host, in CpuImage guest, List<string> differences)
    {
        fixed (byte* a = host.Memory, b = guest.Memory)
        {
            if (new Span<byte>(a, TestMap.WindowBytes).SequenceEqual(new Span<byte>(b, TestMap.WindowBytes))) return;
            (int ignoredStart, int ignoredEnd, int secondStart, int secondEnd) = VendorDifferences.IgnoredMemory(instruction, before);
            for (int i = 0; i < TestMap.WindowBytes; i++)
            {
                if (a[i] == b[i] || (i >= ignoredStart && i < ignoredEnd) || (i >= secondStart && i < secondEnd)) continue;
                differences.Add($"memory at map + 0x{TestMap.Offset(i):x}: host {a[i]:x2}, engine {b[i]:x2}");
                if (differences.Count > 20) return;
            }
        }
    }
}
