using System.Runtime.CompilerServices;

namespace Ringfence.Processors.FloatingPoint;

/// <summary>
/// What controls a floating-point operation, and the exception flags it raises. Operations only ever add flags;
/// they compute the masked result also of unmasked exceptions (except x87 overflow and underflow, whose results wrap),
/// and the caller that finds <see cref="Unmasked"/> bits throws the result away.
/// </summary>
internal struct FloatContext
{
    /// <summary>Rounding control.</summary>
    public FloatRounding Rounding;

    /// <summary>x87 precision control: 24, 53 or 64 significant bits. SSE ignores it.</summary>
    public int Precision;

    /// <summary>Raised exceptions (<see cref="FloatExceptions"/>).</summary>
    public int Flags;

    /// <summary>Masked exceptions: bit set = masked. Decides when underflow is raised and whether results are flushed.</summary>
    public int Masks;

    /// <summary>MXCSR.DAZ: denormal operands are zeros and raise nothing.</summary>
    public bool DenormalsAreZero;

    /// <summary>MXCSR.FTZ: tiny results become zeros, while underflow is masked.</summary>
    public bool FlushToZero;

    /// <summary>x87 C1: the last rounding increased the magnitude.</summary>
    public bool RoundedUp;

    /// <summary>The context MXCSR describes, without flags.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatContext FromMxcsr(uint mxcsr) => new()
    {
        Rounding = (FloatRounding)((mxcsr >> 13) & 3),
        Precision = 64,
        Masks = (int)(mxcsr >> 7) & FloatExceptions.All,
        DenormalsAreZero = (mxcsr & 0x40) != 0,
        FlushToZero = (mxcsr & 0x8000) != 0,
    };

    /// <summary>The context an x87 control word describes, without flags. The reserved precision 01 counts as 64 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FloatContext FromX87(ushort control) => new()
    {
        Rounding = (FloatRounding)((control >> 10) & 3),
        Precision = (control & 0x300) switch { 0 => 24, 0x200 => 53, _ => 64 },
        Masks = control & FloatExceptions.All,
    };

    /// <summary>
    /// The flags to report when all elements are done: an unmasked pre-computation exception in any element keeps the
    /// post-computation exceptions of all from being detected (Intel SDM 1 11.5.2, 4.9.2).
    /// </summary>
    public readonly int Reported => (Flags & ~Masks & FloatExceptions.PreComputation) != 0 ? Flags & FloatExceptions.PreComputation : Flags;

    /// <summary>Reported exceptions that are not masked: not 0 means #XM (or a pending #MF), and no result.</summary>
    public readonly int Unmasked => Reported & ~Masks;

    /// <summary>Adds flags.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Raise(int flags) => Flags |= flags;
}
