namespace Ringfence.Processors.FloatingPoint;

/// <summary>Rounding control, in the encoding of MXCSR.RC and the x87 control word's RC (Intel SDM 1 4.8.4).</summary>
internal enum FloatRounding
{
    /// <summary>To the nearest value, to the even one of two equally near.</summary>
    Nearest,

    /// <summary>Toward negative infinity.</summary>
    Down,

    /// <summary>Toward positive infinity.</summary>
    Up,

    /// <summary>Toward zero.</summary>
    Zero,
}
