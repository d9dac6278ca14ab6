namespace Ringfence.Firmware;

/// <summary>
/// A raw ROM: mapped so that it ends at 4 GiB, its last 256 KiB also below 1 MiB. The processor stays as
/// power-on left it and fetches its first instruction 16 bytes below 4 GiB (Intel SDM 3A 9.1.4).
/// </summary>
internal static class FirmwareImage
{
    private const int Granule = 64 << 10;
    private const int Largest = 1 << 20;
    private const int LargestLow = 256 << 10;
    private const ulong FourGiB = 1UL << 32;

    /// <summary>Maps a ROM.</summary>
    /// <exception cref="BootImageException">It cannot be read or its size is none a ROM has.</exception>
    public static void Load(BootTarget target, BootFile file)
    {
        byte[] rom = file.ReadAll(Largest, "a firmware image");
        if (rom.Length == 0 || rom.Length % Granule != 0)
            throw new BootImageException($"{file.Name}: a firmware image is a multiple of 64 KiB up to 1 MiB long, this one has {rom.Length} bytes");
        target.Memory.MapRom("firmware", FourGiB - (ulong)rom.Length, rom);
        ReadOnlySpan<byte> low = rom.AsSpan(Math.Max(0, rom.Length - LargestLow));
        target.Memory.SetShadowRom(low);
    }
}
