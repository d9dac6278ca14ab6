namespace Ringfence.Processors.FloatingPoint;

/// <summary>What an 80-bit encoding means (Intel SDM 1 table 8-3, 8.2.2).</summary>
internal enum FloatClass
{
    /// <summary>A normal finite number.</summary>
    Normal,

    /// <summary>Positive or negative zero.</summary>
    Zero,

    /// <summary>A denormal or pseudo-denormal.</summary>
    Denormal,

    /// <summary>An infinity.</summary>
    Infinity,

    /// <summary>A quiet NaN.</summary>
    QuietNan,

    /// <summary>A signaling NaN.</summary>
    SignalingNan,

    /// <summary>Unnormals, pseudo-infinities and pseudo-NaNs: every operation on them is invalid.</summary>
    Unsupported,
}
