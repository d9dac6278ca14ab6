namespace Ringfence.Processors.FloatingPoint;

/// <summary>
/// Floating-point exception flags at their places in MXCSR and the x87 status word; the masks have the same order
/// (Intel SDM 1 4.9).
/// </summary>
internal static class FloatExceptions
{
    /// <summary>IE: invalid operation.</summary>
    public const int Invalid = 1;

    /// <summary>DE: denormal operand.</summary>
    public const int Denormal = 2;

    /// <summary>ZE: divide by zero.</summary>
    public const int ZeroDivide = 4;

    /// <summary>OE: overflow.</summary>
    public const int Overflow = 8;

    /// <summary>UE: underflow.</summary>
    public const int Underflow = 16;

    /// <summary>PE: inexact result.</summary>
    public const int Precision = 32;

    /// <summary>The exceptions found before a result is computed; unmasked, they suppress the others.</summary>
    public const int PreComputation = Invalid | Denormal | ZeroDivide;

    /// <summary>All six.</summary>
    public const int All = 63;
}
