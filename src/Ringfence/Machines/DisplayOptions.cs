namespace Ringfence.Machines;

/// <summary>A machine's display adapter: a VGA with the Bochs extensions.</summary>
public sealed record DisplayOptions
{
    /// <summary>Video memory in bytes: 16 MiB.</summary>
    internal const int MemoryBytes = 16 << 20;

    /// <summary>The adapter's BIOS, for firmware that runs it; null: none. At most 64 KiB.</summary>
    public Firmware.BootFile? Bios { get; init; }
}
