namespace Ringfence.Storage;

/// <summary>What only a qcow2 image says about itself.</summary>
public sealed record Qcow2Info
{
    /// <summary>2 or 3.</summary>
    public required int Version { get; init; }

    /// <summary>Bytes of a cluster, the unit in which room is given.</summary>
    public required int ClusterBytes { get; init; }

    /// <summary>Bits of a reference count.</summary>
    public required int RefcountBits { get; init; }

    /// <summary>It was not closed; reference counts are put right when it is opened for writing.</summary>
    public required bool IsDirty { get; init; }

    /// <summary>Somebody found it damaged; it is not written any more.</summary>
    public required bool IsCorrupt { get; init; }

    /// <summary>The file that is read where this one has nothing, as the image names it; null: none.</summary>
    public string? BackingFile { get; init; }

    /// <summary>Where that file is, seen from here.</summary>
    public string? BackingPath { get; init; }

    /// <summary>The backing file's format, if the image says so.</summary>
    public string? BackingFormat { get; init; }

    /// <summary>Internal snapshots, in the order of the image.</summary>
    public IReadOnlyList<Qcow2Snapshot> Snapshots { get; init; } = [];
}
