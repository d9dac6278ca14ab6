using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>MXCSR.RC.</summary>
internal readonly struct CurrentRounding : IFloatRounding
{
    public static bool Truncates => false;

    public static FloatRounding Of(in FloatContext context) => context.Rounding;
}
