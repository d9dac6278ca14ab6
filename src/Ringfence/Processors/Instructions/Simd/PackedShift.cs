using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>The form of a packed shift that only an immediate has; the others are <see cref="Packed{TOperation,TAddressing}"/>.</summary>
internal static unsafe class PackedShift<TOperation>
    where TOperation : struct, IShiftOperation
{
    /// <summary>xmm, imm8.</summary>
    public static Operation* XmmImmediate(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.SseFaults(s)) return SimdAccess.SseFault(processor, s, op);
        Xmm.Write(s, op->Destination, TOperation.Apply(Xmm.Read(s, op->Destination), Count(op)));
        return Flow.Next(processor, s, op);
    }

    /// <summary>mm, imm8.</summary>
    public static Operation* MmxImmediate(Processor processor, VcpuState* s, Operation* op)
    {
        if (SimdAccess.MmxFaults(s)) return SimdAccess.MmxFault(processor, s, op);
        Vector128<byte> value = Vector128.CreateScalar(Mmx.Read(s, op->Destination)).AsByte();
        Mmx.Write(s, op->Destination, TOperation.Apply(value, Count(op)).AsUInt64().ToScalar());
        Mmx.Enter(s);
        return Flow.Next(processor, s, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> Count(Operation* op) => Vector128.CreateScalar(op->Immediate & 0xff).AsByte();
}
