using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>Toward zero.</summary>
internal readonly struct Truncation : IFloatRounding
{
    public static bool Truncates => true;

    public static FloatRounding Of(in FloatContext context) => FloatRounding.Zero;
}
