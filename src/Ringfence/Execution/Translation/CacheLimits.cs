namespace Ringfence.Execution.Translation;

/// <summary>How much a translator keeps before it throws everything away and begins again.</summary>
internal sealed record CacheLimits
{
    /// <summary>Bytes of fragments.</summary>
    public int MainBytes { get; init; } = 40 << 20;

    /// <summary>Bytes of their rare paths.</summary>
    public int RareBytes { get; init; } = 23 << 20;

    /// <summary>Pages of guest code, at most <see cref="TranslationCache.MostPages"/>.</summary>
    public int Pages { get; init; } = TranslationCache.MostPages;

    /// <summary>Fragments.</summary>
    public int Fragments { get; init; } = 256 << 10;

    /// <summary>Sites.</summary>
    public int Sites { get; init; } = 1536 << 10;
}
