namespace Ringfence.Processors.FloatingPoint;

/// <summary>How two floating-point values compare.</summary>
internal enum FloatRelation
{
    /// <summary>The first is less.</summary>
    Less,

    /// <summary>They are equal; zeros are equal whatever their signs.</summary>
    Equal,

    /// <summary>The first is greater.</summary>
    Greater,

    /// <summary>At least one is a NaN (or an unsupported 80-bit encoding).</summary>
    Unordered,
}
