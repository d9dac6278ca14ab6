namespace Ringfence.Storage;

/// <summary>A range of a disk or file.</summary>
/// <param name="Length">Bytes.</param>
/// <param name="IsZero">All of them are known to be zero, without reading them.</param>
internal readonly record struct BlockExtent(long Length, bool IsZero);
