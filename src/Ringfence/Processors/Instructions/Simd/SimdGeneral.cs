using System.Numerics;
using System.Runtime.CompilerServices;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>SSE's instructions without a SIMD register: fences, prefetches, CLFLUSH and CRC32.</summary>
internal static unsafe class SimdGeneral<TAddressing>
    where TAddressing : struct, IAddressing
{
    /// <summary>Prefetches, LFENCE and SFENCE: nothing to see. A prefetch never faults.</summary>
    public static Operation* Nothing(Processor processor, VcpuState* s, Operation* op) => Flow.Next(processor, s, op);

    /// <summary>MFENCE.</summary>
    public static Operation* Fence(Processor processor, VcpuState* s, Operation* op)
    {
        Interlocked.MemoryBarrier();
        return Flow.Next(processor, s, op);
    }

    /// <summary>CLFLUSH: faults as a byte load does.</summary>
    public static Operation* FlushLine(Processor processor, VcpuState* s, Operation* op)
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out byte _)) return Flow.Fault(s, op);
        return Flow.Next(processor, s, op);
    }

    /// <summary>CRC32 r, r.</summary>
    public static Operation* Crc32Register<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged
    {
        Accumulate(s, op, Instructions.Register.Read<T>(s, op->Source));
        return Flow.Next(processor, s, op);
    }

    /// <summary>CRC32 r, m.</summary>
    public static Operation* Crc32Memory<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T value)) return Flow.Fault(s, op);
        Accumulate(s, op, value);
        return Flow.Next(processor, s, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Accumulate<T>(VcpuState* s, Operation* op, T value)
        where T : unmanaged
    {
        uint crc = Instructions.Register.Read<uint>(s, op->Destination);
        crc = sizeof(T) switch
        {
            1 => BitOperations.Crc32C(crc, Unsafe.BitCast<T, byte>(value)),
            2 => BitOperations.Crc32C(crc, Unsafe.BitCast<T, ushort>(value)),
            4 => BitOperations.Crc32C(crc, Unsafe.BitCast<T, uint>(value)),
            _ => BitOperations.Crc32C(crc, Unsafe.BitCast<T, ulong>(value)),
        };
        Instructions.Register.Write(s, op->Destination, crc);
    }
}
