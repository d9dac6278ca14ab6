namespace Ringfence.Virtualizability.Model;

/// <summary>Physical places of what lies at fixed linear addresses.</summary>
/// <param name="System">The system's pages.</param>
/// <param name="Code">The code page.</param>
/// <param name="Data">The two data pages.</param>
/// <param name="Stack">The two stack pages.</param>
/// <param name="PageTables">Page tables that lead here.</param>
internal sealed record ModelRegion(uint System, uint Code, uint Data, uint Stack, uint PageTables)
{
    /// <summary>RAM that holds everything.</summary>
    public const ulong RamBytes = 4 << 20;

    /// <summary>Where programs with paging usually are.</summary>
    public static ModelRegion Usual { get; } = At(0x10_0000, 0x30_0000);

    /// <summary>Where they are after the frames have been changed.</summary>
    public static ModelRegion Other { get; } = At(0x18_0000, 0x34_0000);

    /// <summary>Where everything is without paging.</summary>
    public static ModelRegion Real { get; } =
        new(ModelLayout.SystemPages, ModelLayout.RealCode, ModelLayout.RealData, ModelLayout.RealStack, 0);

    private static ModelRegion At(uint start, uint pageTables) =>
        new(start, start + 0x1_0000, start + 0x1_1000, start + 0x1_3000, pageTables);
}
