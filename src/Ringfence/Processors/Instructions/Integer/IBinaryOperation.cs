using System.Numerics;
using System.Runtime.CompilerServices;

namespace Ringfence.Processors.Instructions.Integer;

/// <summary>A two-operand integer operation: result and flags. One definition for all operand forms and widths.</summary>
internal unsafe interface IBinaryOperation
{
    /// <summary>The destination receives the result (not CMP and TEST).</summary>
    static abstract bool Writes { get; }

    /// <summary>Computes the result and sets the flags.</summary>
    static abstract T Apply<T>(VcpuState* s, T a, T b)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>;
}

/// <summary>ADD.</summary>
internal readonly unsafe struct Add : IBinaryOperation
{
    /// <inheritdoc/>
    public static bool Writes => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(VcpuState* s, T a, T b)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        T result = a + b;
        StatusFlags.SetArithmetic(s, result, (a & b) | ((a | b) & ~result));
        return result;
    }
}

/// <summary>ADC.</summary>
internal readonly unsafe struct AddWithCarry : IBinaryOperation
{
    /// <inheritdoc/>
    public static bool Writes => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(VcpuState* s, T a, T b)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        T result = a + b + (StatusFlags.Carry(s) ? T.One : T.Zero);
        StatusFlags.SetArithmetic(s, result, (a & b) | ((a | b) & ~result));
        return result;
    }
}

/// <summary>SUB.</summary>
internal readonly unsafe struct Subtract : IBinaryOperation
{
    /// <inheritdoc/>
    public static bool Writes => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(VcpuState* s, T a, T b)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        T result = a - b;
        StatusFlags.SetArithmetic(s, result, (~a & b) | (~(a ^ b) & result));
        return result;
    }
}

/// <summary>SBB.</summary>
internal readonly unsafe struct SubtractWithBorrow : IBinaryOperation
{
    /// <inheritdoc/>
    public static bool Writes => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(VcpuState* s, T a, T b)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        T result = a - b - (StatusFlags.Carry(s) ? T.One : T.Zero);
        StatusFlags.SetArithmetic(s, result, (~a & b) | (~(a ^ b) & result));
        return result;
    }
}

/// <summary>CMP.</summary>
internal readonly unsafe struct Compare : IBinaryOperation
{
    /// <inheritdoc/>
    public static bool Writes => false;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(VcpuState* s, T a, T b)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => Subtract.Apply(s, a, b);
}

/// <summary>AND.</summary>
internal readonly unsafe struct And : IBinaryOperation
{
    /// <inheritdoc/>
    public static bool Writes => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(VcpuState* s, T a, T b)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        T result = a & b;
        StatusFlags.SetLogical(s, result);
        return result;
    }
}

/// <summary>OR.</summary>
internal readonly unsafe struct Or : IBinaryOperation
{
    /// <inheritdoc/>
    public static bool Writes => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(VcpuState* s, T a, T b)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        T result = a | b;
        StatusFlags.SetLogical(s, result);
        return result;
    }
}

/// <summary>XOR.</summary>
internal readonly unsafe struct Xor : IBinaryOperation
{
    /// <inheritdoc/>
    public static bool Writes => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(VcpuState* s, T a, T b)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        T result = a ^ b;
        StatusFlags.SetLogical(s, result);
        return result;
    }
}

/// <summary>TEST.</summary>
internal readonly unsafe struct Test : IBinaryOperation
{
    /// <inheritdoc/>
    public static bool Writes => false;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Apply<T>(VcpuState* s, T a, T b)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => And.Apply(s, a, b);
}
