using Iced.Intel;

namespace Ringfence.Tests.Differential;

/// <summary>
/// What the manuals leave to the processor, or where AMD's and Intel's differ, so that an Intel model on an AMD host
/// (or the other way round) may give another answer:
/// <list type="bullet">
/// <item>x87 pointers (FOP, FIP, FDP and their selectors): AMD saves them in FXSAVE only while an exception is pending, and processors differ in when they are updated.</item>
/// <item>MXCSR_MASK in an FXSAVE image: AMD has bit 17.</item>
/// <item>Condition codes an x87 instruction leaves undefined.</item>
/// <item>FCOMI, FCOMIP, FUCOMI, FUCOMIP: Intel clears C1, AMD leaves it alone.</item>
/// <item>Transcendental x87 instructions: both vendors promise an error below 1 unit in the last place, no bit pattern; so the direction of the rounding in C1 differs, too.</item>
/// <item>FYL2XP1 of an operand beyond 1 - sqrt(2) / 2: the result is undefined, and so is whether there is an exception (Intel SDM 2A).</item>
/// <item>RCPPS, RCPSS, RSQRTPS, RSQRTSS: an error bound, no bit pattern.</item>
/// <item>MOVSXD with a 16-bit operand size: Intel reads 16 bits, AMD 32.</item>
/// <item>0F 0D with a register operand: Intel has it as a reserved NOP, AMD raises #UD.</item>
/// <item>F3 90 with REX.B: PAUSE for Iced, XCHG for AMD.</item>
/// <item>Alignment check of FXSAVE and FXRSTOR: #GP or #AC (Intel SDM 2A).</item>
/// <item>Alignment check of the byte that ENTER probes at the new top of the stack.</item>
/// <item>SHLD and SHRD with a count greater than the operand: the result is undefined.</item>
/// </list>
/// </summary>
internal static unsafe class VendorDifferences
{
    private const ulong TwoResults = 2;

    /// <summary>Bits of MXCSR that only AMD has: misaligned exception mask.</summary>
    public const uint MxcsrOfOneVendor = 1 << 17;

    /// <summary>Is the whole code left out?</summary>
    public static bool IsExcluded(Code code) => code is Code.Movsxd_r16_rm16
        or Code.Reservednop_rm16_r16_0F0D or Code.Reservednop_rm32_r32_0F0D or Code.Reservednop_rm64_r64_0F0D;

    /// <summary>Is this encoding of a code left out?</summary>
    public static bool IsExcluded(Code code, ReadOnlySpan<byte> bytes) =>
        code == Code.Pause && bytes.Length > 2 && (bytes[^2] & 0xf1) == 0x41;

    /// <summary>Bits of RFLAGS that are not set before the instruction.</summary>
    public static ulong AvoidedFlags(in Instruction instruction) =>
        instruction.Mnemonic is Mnemonic.Enter or Mnemonic.Fxsave or Mnemonic.Fxsave64 or Mnemonic.Fxrstor or Mnemonic.Fxrstor64 ? 1UL << 18 : 0;

    /// <summary>Bits of a general register to compare.</summary>
    public static ulong ComparedBits(in Instruction instruction, in CpuImage before, int register)
    {
        bool isUndefined = instruction.Mnemonic is Mnemonic.Shld or Mnemonic.Shrd && instruction.Op0Kind == OpKind.Register
            && instruction.Op0Register.GetSize() == 2 && (Comparison.CountOf(instruction, before) & 31) > 16
            && instruction.Op0Register.GetFullRegister() - Register.RAX == register;
        return isUndefined ? ~0xffffUL : ulong.MaxValue;
    }

    /// <summary>C0 to C3 of the x87 status word that are defined after the instruction, which left a status word.</summary>
    public static int ComparedConditionCodes(in Instruction instruction, int status)
    {
        const int Inexact = 0x20, StackFault = 0x40;
        RflagsBits undefined = instruction.RflagsUndefined;
        bool isRounded = X87Tolerance(instruction) != 0 && (status & (Inexact | StackFault)) == Inexact;
        bool comparesToFlags = instruction.Mnemonic is Mnemonic.Fcomi or Mnemonic.Fcomip or Mnemonic.Fucomi or Mnemonic.Fucomip;
        if (isRounded || comparesToFlags) undefined |= RflagsBits.C1;
        return ((undefined & RflagsBits.C0) != 0 ? 0 : 0x100) | ((undefined & RflagsBits.C1) != 0 ? 0 : 0x200)
            | ((undefined & RflagsBits.C2) != 0 ? 0 : 0x400) | ((undefined & RflagsBits.C3) != 0 ? 0 : 0x4000);
    }

    /// <summary>Brings x87 operands into the range for which the instruction is defined.</summary>
    public static void LimitX87(in Instruction instruction, ref CpuImage image)
    {
        const int FirstTooLarge = 0x3ffd, NotFinite = 0x7fff;
        if (instruction.Mnemonic != Mnemonic.Fyl2xp1) return;
        fixed (byte* fx = image.Fx)
        {
            ushort* top = (ushort*)(fx + 40);
            if ((*top & 0x7fff) is >= FirstTooLarge and < NotFinite) *top = (ushort)((*top & 0x8000) | (FirstTooLarge - 1 - (*top & 63)));
        }
    }

    /// <summary>How many units in the last place two results may be apart: each within 1 of the true one.</summary>
    public static ulong X87Tolerance(in Instruction instruction) => instruction.Mnemonic is Mnemonic.Fsin or Mnemonic.Fcos or Mnemonic.Fsincos
        or Mnemonic.Fptan or Mnemonic.Fpatan or Mnemonic.F2xm1 or Mnemonic.Fyl2x or Mnemonic.Fyl2xp1 ? TwoResults : 0;

    /// <summary>Is the result only an approximation?</summary>
    public static bool IsApproximation(in Instruction instruction) =>
        instruction.Mnemonic is Mnemonic.Rcpps or Mnemonic.Rcpss or Mnemonic.Rsqrtps or Mnemonic.Rsqrtss;

    /// <summary>Two ranges of <see cref="CpuImage.Memory"/> that are not compared.</summary>
    public static (int Start, int End, int SecondStart, int SecondEnd) IgnoredMemory(in Instruction instruction, in CpuImage before)
    {
        if (instruction.OpCount == 0 || instruction.Op0Kind != OpKind.Memory) return default;
        int place = PlaceOf(instruction, before);
        if (place < 0) return default;
        return instruction.Code switch
        {
            Code.Fxsave_m512byte or Code.Fxsave64_m512byte => (place + 6, place + 24, place + 28, place + 32),
            Code.Fnstenv_m28byte or Code.Fnsave_m108byte => (place + 12, place + 28, 0, 0),
            Code.Fnstenv_m14byte or Code.Fnsave_m94byte => (place + 6, place + 14, 0, 0),
            _ when instruction.Mnemonic is Mnemonic.Shld or Mnemonic.Shrd && instruction.MemorySize.GetSize() == 2
                && (Comparison.CountOf(instruction, before) & 31) > 16 => (place, place + 2, 0, 0),
            _ => default,
        };
    }

    private static int PlaceOf(in Instruction instruction, in CpuImage before)
    {
        // The map begins at a multiple of 16 MiB.
        const uint MapAlignment = 0x100_0000;
        ulong address = instruction.IsIPRelativeMemoryOperand ? instruction.MemoryDisplacement64
            : SafetyCheck.RegisterValue(before, instruction.MemoryBase)
                + (SafetyCheck.RegisterValue(before, instruction.MemoryIndex) * (ulong)instruction.MemoryIndexScale) + instruction.MemoryDisplacement64;
        return TestMap.ImageOffset((uint)address % MapAlignment);
    }
}
