namespace Ringfence.Storage;

/// <summary>How <see cref="DiskImageConversion"/> copies a disk.</summary>
public sealed record DiskImageConversionOptions
{
    /// <summary>The format of the image that is copied.</summary>
    public DiskImageFormat SourceFormat { get; init; }

    /// <summary>Bytes of a cluster of a qcow2 copy.</summary>
    public int ClusterBytes { get; init; } = 65536;

    /// <summary>Take the place of a file that has the copy's name.</summary>
    public bool Replace { get; init; }

    /// <summary>Is told how many bytes are done, and of how many.</summary>
    public Action<long, long>? Progress { get; init; }
}
