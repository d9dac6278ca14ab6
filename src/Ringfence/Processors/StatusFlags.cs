using System.Numerics;
using System.Runtime.CompilerServices;

namespace Ringfence.Processors;

/// <summary>
/// The six status flags, kept as the result they came from and computed when somebody asks.
/// <see cref="VcpuState.StatusResult"/> is the result sign-extended to 64 bits: ZF is "zero", SF its bit 63, PF the
/// parity of its low byte. <see cref="VcpuState.StatusCarries"/> holds carries: bit 63 out of the most significant
/// bit (CF), bit 62 into it (OF is 63 xor 62), bit 3 out of bit 3 (AF). For combinations no result can show (POPF):
/// bit 0 inverts SF, bits 8 to 15 are xored into the byte whose parity is PF.
/// </summary>
internal static class StatusFlags
{
    private const ulong CarryOut = 1UL << 63;
    private const ulong CarryIn = 1UL << 62;
    private const ulong AuxiliaryCarry = 8;

    /// <summary>Records a result with its vector of carries out of each bit position.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe void SetArithmetic<T>(VcpuState* s, T result, T carries)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        s->StatusResult = SignExtend(result);
        ulong c = ulong.CreateTruncating(carries);
        s->StatusCarries = sizeof(T) == 8 ? c & ~0xff01UL : (c << (64 - (sizeof(T) * 8))) | (c & AuxiliaryCarry);
    }

    /// <summary>Records the result of a logical instruction: CF, OF and AF become 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe void SetLogical<T>(VcpuState* s, T result)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        s->StatusResult = SignExtend(result);
        s->StatusCarries = 0;
    }

    /// <summary>As <see cref="SetArithmetic{T}"/>, but CF keeps its value (INC and DEC).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe void SetKeepingCarry<T>(VcpuState* s, T result, T carries)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        ulong old = s->StatusCarries;
        SetArithmetic(s, result, carries);
        ulong flip = (s->StatusCarries ^ old) & CarryOut;
        s->StatusCarries ^= flip | (flip >> 1);
    }

    /// <summary>Sets result flags, and CF and OF from booleans; AF becomes 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe void SetResult<T>(VcpuState* s, T result, bool carry, bool overflow)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        s->StatusResult = SignExtend(result);
        ulong c = carry ? CarryOut : 0;
        s->StatusCarries = c | (overflow ? (c >> 1) ^ CarryIn : c >> 1);
    }

    /// <summary>Replaces CF alone.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe void SetCarry(VcpuState* s, bool carry)
    {
        ulong flip = (s->StatusCarries ^ (carry ? CarryOut : 0)) & CarryOut;
        s->StatusCarries ^= flip | (flip >> 1);
    }

    /// <summary>Replaces CF and OF alone (rotates).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe void SetCarryAndOverflow(VcpuState* s, bool carry, bool overflow)
    {
        ulong c = carry ? CarryOut : 0;
        s->StatusCarries = (s->StatusCarries & ~(CarryOut | CarryIn)) | c | (overflow ? (c >> 1) ^ CarryIn : c >> 1);
    }

    /// <summary>CF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe bool Carry(VcpuState* s) => (long)s->StatusCarries < 0;

    /// <summary>ZF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe bool Zero(VcpuState* s) => s->StatusResult == 0;

    /// <summary>SF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe bool Sign(VcpuState* s) => (long)(s->StatusResult ^ (s->StatusCarries << 63)) < 0;

    /// <summary>OF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe bool Overflow(VcpuState* s) => (long)(s->StatusCarries ^ (s->StatusCarries << 1)) < 0;

    /// <summary>PF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe bool Parity(VcpuState* s) =>
        (BitOperations.PopCount((byte)(s->StatusResult ^ (s->StatusCarries >> 8))) & 1) == 0;

    /// <summary>AF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe bool Auxiliary(VcpuState* s) => (s->StatusCarries & AuxiliaryCarry) != 0;

    /// <summary>The six flags at their places in RFLAGS.</summary>
    public static unsafe ulong Get(in VcpuState state)
    {
        fixed (VcpuState* s = &state)
        {
            return (Carry(s) ? RflagsBits.Cf : 0) | (Parity(s) ? RflagsBits.Pf : 0) | (Auxiliary(s) ? RflagsBits.Af : 0)
                | (Zero(s) ? RflagsBits.Zf : 0) | (Sign(s) ? RflagsBits.Sf : 0) | (Overflow(s) ? RflagsBits.Of : 0);
        }
    }

    /// <summary>Sets the six flags from their places in <paramref name="rflags"/>.</summary>
    public static void Set(ref VcpuState state, ulong rflags)
    {
        bool zero = (rflags & RflagsBits.Zf) != 0;
        state.StatusResult = zero ? 0UL : 1UL;                    // non-negative; low byte 0 (even) or 1 (odd)
        bool resultParity = zero;
        bool carry = (rflags & RflagsBits.Cf) != 0;
        bool carryIn = carry ^ ((rflags & RflagsBits.Of) != 0);
        state.StatusCarries = (carry ? CarryOut : 0) | (carryIn ? CarryIn : 0)
            | ((rflags & RflagsBits.Af) != 0 ? AuxiliaryCarry : 0)
            | ((rflags & RflagsBits.Sf) != 0 ? 1UL : 0)
            | (((rflags & RflagsBits.Pf) != 0) != resultParity ? 0x100UL : 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static unsafe ulong SignExtend<T>(T value)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => sizeof(T) switch
        {
            1 => (ulong)(sbyte)byte.CreateTruncating(value),
            2 => (ulong)(short)ushort.CreateTruncating(value),
            4 => (ulong)(int)uint.CreateTruncating(value),
            _ => ulong.CreateTruncating(value),
        };
}
