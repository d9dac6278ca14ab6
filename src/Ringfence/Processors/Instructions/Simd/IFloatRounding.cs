using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>How a conversion to an integer rounds: as MXCSR says, or always toward zero.</summary>
internal interface IFloatRounding
{
    /// <summary>Toward zero whatever MXCSR says (CVTT...)?</summary>
    static abstract bool Truncates { get; }

    /// <summary>The rounding to use.</summary>
    static abstract FloatRounding Of(in FloatContext context);
}
