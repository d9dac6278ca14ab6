using System.Runtime.CompilerServices;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>The MMX registers: the significands of the physical x87 registers (Intel SDM 1 9.6).</summary>
internal static unsafe class Mmx
{
    private const ushort TopMask = 0x3800;

    /// <summary>Where a register lies in the state.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* At(VcpuState* s, int number) => (byte*)(s->X87Significand + number);

    /// <summary>Reads a register.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Read(VcpuState* s, int number) => s->X87Significand[number];

    /// <summary>Writes a register; sign and exponent become all ones.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(VcpuState* s, int number, ulong value)
    {
        s->X87Significand[number] = value;
        s->X87SignExponent[number] = 0xffff;
    }

    /// <summary>What every MMX instruction does when it completes: TOP becomes 0, all registers valid (which EMMS takes back).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Enter(VcpuState* s)
    {
        s->X87Status &= unchecked((ushort)~TopMask);
        s->X87Tag = 0xff;
    }
}
