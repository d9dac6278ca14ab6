using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>The XMM registers.</summary>
internal static unsafe class Xmm
{
    /// <summary>Where a register lies in the state.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* At(VcpuState* s, uint number) => (byte*)s->Xmm + (number * 16);

    /// <summary>Reads a register.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Read(VcpuState* s, uint number) => Unsafe.ReadUnaligned<Vector128<byte>>(At(s, number));

    /// <summary>Writes a register.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write(VcpuState* s, uint number, Vector128<byte> value) => Unsafe.WriteUnaligned(At(s, number), value);
}
