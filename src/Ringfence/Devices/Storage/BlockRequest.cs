namespace Ringfence.Devices.Storage;

/// <summary>What a <see cref="BlockRequest"/> asks for.</summary>
internal enum BlockOperation
{
    /// <summary>Fills the buffer.</summary>
    Read,

    /// <summary>Stores the buffer.</summary>
    Write,

    /// <summary>Makes the range zero.</summary>
    WriteZeroes,

    /// <summary>Everything that was acknowledged before reaches the host's disk.</summary>
    Flush,
}

/// <summary>How a <see cref="BlockRequest"/> ended.</summary>
internal enum BlockStatus
{
    /// <summary>Done.</summary>
    Done,

    /// <summary>The host or the image failed.</summary>
    Failed,

    /// <summary>A write to a medium that refuses them.</summary>
    ReadOnly,

    /// <summary>Beyond the medium's end.</summary>
    OutOfRange,

    /// <summary>There is no medium.</summary>
    NoMedium,
}

/// <summary>One request of a controller to a <see cref="BlockDrive"/>.</summary>
/// <param name="Operation">What to do.</param>
/// <param name="Offset">First byte on the medium.</param>
/// <param name="Length">Bytes; of reads and writes the length of <paramref name="Buffer"/>.</param>
/// <param name="Buffer">The data; nobody else touches it until the request has ended.</param>
/// <param name="Completed">Called under the machine lock when it has ended, never inside <see cref="BlockDrive.Submit"/>.</param>
internal sealed record BlockRequest(BlockOperation Operation, long Offset, long Length, Memory<byte> Buffer, Action<BlockStatus> Completed);
