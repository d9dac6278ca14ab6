namespace Ringfence.Devices.Storage;

/// <summary>What a drive has done since it was made.</summary>
/// <param name="Reads">Reads that ended well.</param>
/// <param name="BytesRead">Bytes they read.</param>
/// <param name="Writes">Writes that ended well, zeroes included.</param>
/// <param name="BytesWritten">Bytes they wrote.</param>
/// <param name="Flushes">Flushes that ended well.</param>
/// <param name="Failures">Requests that did not.</param>
public readonly record struct BlockDriveStatistics(long Reads, long BytesRead, long Writes, long BytesWritten, long Flushes, long Failures);
