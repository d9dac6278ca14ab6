using System.Runtime.CompilerServices;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>
/// May an MMX or SSE instruction execute? Order of the checks (Intel SDM 3A 2.5, 13.1): #UD for CR0.EM and, for SSE,
/// CR4.OSFXSR clear; #NM for CR0.TS; #MF for instructions with an MMX register while an x87 exception is pending; then memory.
/// </summary>
internal static unsafe class SimdAccess
{
    private const byte NoSse = 1;
    private const byte NoMmx = 2;
    private const ushort ErrorSummary = 0x80;

    /// <summary>What <see cref="VcpuState.SimdUnavailable"/> must be for the current control registers.</summary>
    public static byte Unavailability(VcpuState* s)
    {
        if (s->HasCr0(Cr0.Em | Cr0.Ts)) return NoSse | NoMmx;
        return s->HasCr4(Cr4.Osfxsr) ? (byte)0 : NoSse;
    }

    /// <summary>Must an SSE instruction fault?</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool SseFaults(VcpuState* s) => (s->SimdUnavailable & NoSse) != 0;

    /// <summary>Must an instruction that uses MMX registers fault?</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool MmxFaults(VcpuState* s) => ((s->SimdUnavailable & NoMmx) | (s->X87Status & ErrorSummary)) != 0;

    /// <summary>Are misaligned accesses #AC (Intel SDM 3A 6.15, vector 17)?</summary>
    public static bool ChecksAlignment(VcpuState* s) => s->Cpl == 3 && s->HasCr0(Cr0.Am) && (s->SystemFlags & RflagsBits.Ac) != 0;

    /// <summary>The fault of <see cref="SseFaults"/>.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static Operation* SseFault(Processor processor, VcpuState* s, Operation* op)
    {
        bool undefined = s->HasCr0(Cr0.Em) || !s->HasCr4(Cr4.Osfxsr);
        return Flow.Fault(processor, s, op, undefined ? ExceptionVector.InvalidOpcode : ExceptionVector.DeviceNotAvailable);
    }

    /// <summary>The fault of <see cref="MmxFaults"/>.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static Operation* MmxFault(Processor processor, VcpuState* s, Operation* op)
    {
        ExceptionVector vector = s->HasCr0(Cr0.Em) ? ExceptionVector.InvalidOpcode
            : s->HasCr0(Cr0.Ts) ? ExceptionVector.DeviceNotAvailable
            : ExceptionVector.FloatingPoint;
        return Flow.Fault(processor, s, op, vector);
    }

    /// <summary>An unmasked SIMD floating-point exception (Intel SDM 3A 6.15, vector 19).</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static Operation* FloatingPointFault(Processor processor, VcpuState* s, Operation* op)
    {
        bool enabled = s->HasCr4(Cr4.Osxmmexcpt);
        return Flow.Fault(processor, s, op, enabled ? ExceptionVector.SimdFloatingPoint : ExceptionVector.InvalidOpcode);
    }
}
