using System.Runtime.InteropServices;
using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.X87;

/// <summary>Ten bytes as they stand in memory: an 80-bit value or packed BCD.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 2, Size = 10)]
internal readonly struct Memory80(ulong low, ushort high)
{
    /// <summary>The significand, or BCD digits 0 to 15.</summary>
    public readonly ulong Low = low;

    /// <summary>Sign and exponent, or BCD digits 16 and 17 and the sign.</summary>
    public readonly ushort High = high;
}

/// <summary>A numeric format of memory operands of arithmetic and comparison instructions.</summary>
internal unsafe interface IX87Source
{
    /// <summary>Reads the operand; false after raising a fault. DE in <paramref name="context"/> means a denormal; signaling NaNs stay signaling.</summary>
    static abstract bool TryRead<TAddressing>(Processor processor, VcpuState* s, Operation* op, ref FloatContext context, out Floatx80 value)
        where TAddressing : struct, IAddressing;
}

/// <summary>binary32.</summary>
internal readonly struct Real32 : IX87Source
{
    /// <inheritdoc/>
    public static unsafe bool TryRead<TAddressing>(Processor processor, VcpuState* s, Operation* op, ref FloatContext context, out Floatx80 value)
        where TAddressing : struct, IAddressing
    {
        bool ok = Operand<TAddressing>.TryRead(processor, s, op, out uint bits);
        value = Floatx80Math.FromBinary32(bits, ref context, quiet: false);
        return ok;
    }
}

/// <summary>binary64.</summary>
internal readonly struct Real64 : IX87Source
{
    /// <inheritdoc/>
    public static unsafe bool TryRead<TAddressing>(Processor processor, VcpuState* s, Operation* op, ref FloatContext context, out Floatx80 value)
        where TAddressing : struct, IAddressing
    {
        bool ok = Operand<TAddressing>.TryRead(processor, s, op, out ulong bits);
        value = Floatx80Math.FromBinary64(bits, ref context, quiet: false);
        return ok;
    }
}

/// <summary>A 16-bit signed integer.</summary>
internal readonly struct Integer16 : IX87Source
{
    /// <inheritdoc/>
    public static unsafe bool TryRead<TAddressing>(Processor processor, VcpuState* s, Operation* op, ref FloatContext context, out Floatx80 value)
        where TAddressing : struct, IAddressing
    {
        bool ok = Operand<TAddressing>.TryRead(processor, s, op, out short integer);
        value = Floatx80.FromInteger(integer);
        return ok;
    }
}

/// <summary>A 32-bit signed integer.</summary>
internal readonly struct Integer32 : IX87Source
{
    /// <inheritdoc/>
    public static unsafe bool TryRead<TAddressing>(Processor processor, VcpuState* s, Operation* op, ref FloatContext context, out Floatx80 value)
        where TAddressing : struct, IAddressing
    {
        bool ok = Operand<TAddressing>.TryRead(processor, s, op, out int integer);
        value = Floatx80.FromInteger(integer);
        return ok;
    }
}
