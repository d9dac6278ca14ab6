namespace Ringfence.Storage;

/// <summary>How <see cref="DiskImage.Open"/> opens an image.</summary>
public sealed record DiskImageOptions
{
    /// <summary>The image's format.</summary>
    public DiskImageFormat Format { get; init; }

    /// <summary>Refuse writes. Any number of readers may share an image.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>
    /// Writes go to a temporary file (in the folder that TMPDIR names) and are forgotten at the end; the image is opened for reading only.
    /// </summary>
    public bool Snapshot { get; init; }

    /// <summary>Takes one line when something worth telling was done, such as a repair after a crash.</summary>
    public Action<string>? Report { get; init; }
}
