namespace Ringfence.Storage;

/// <summary>What an image file says about itself.</summary>
public sealed record DiskImageInfo
{
    /// <summary>Its path as it was given.</summary>
    public required string Path { get; init; }

    /// <summary>Its format.</summary>
    public required DiskImageFormat Format { get; init; }

    /// <summary>Bytes of the disk.</summary>
    public required long VirtualBytes { get; init; }

    /// <summary>Bytes that the file takes on the host's disk.</summary>
    public required long AllocatedBytes { get; init; }

    /// <summary>What only qcow2 images have; null for others.</summary>
    public Qcow2Info? Qcow2 { get; init; }
}
