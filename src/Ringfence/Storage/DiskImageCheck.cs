namespace Ringfence.Storage;

/// <summary>What a check of an image found, and what it repaired.</summary>
public sealed record DiskImageCheck
{
    /// <summary>What is wrong, a line each: the first few.</summary>
    public IReadOnlyList<string> Problems { get; init; } = [];

    /// <summary>How many things are wrong that endanger the contents.</summary>
    public long Errors { get; init; }

    /// <summary>Clusters that nothing refers to and that are not free: room lost, nothing else.</summary>
    public long Leaks { get; init; }

    /// <summary>Errors and leaks that were put right.</summary>
    public long Repaired { get; init; }

    /// <summary>Nothing is wrong, or nothing any more.</summary>
    public bool IsClean => Errors == 0 && Leaks == 0;
}
