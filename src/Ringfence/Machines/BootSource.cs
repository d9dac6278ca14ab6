namespace Ringfence.Machines;

/// <summary>
/// What a machine starts with: <see cref="BiosBoot"/>, <see cref="KernelBoot"/>, <see cref="FirmwareBoot"/>, <see cref="BuiltInGuestBoot"/> or <see cref="RawBoot"/>.
/// </summary>
public abstract record BootSource
{
    private protected BootSource()
    {
    }

    /// <summary>
    /// Puts images into memory and sets the processors up, all of which are in their power-on state. Called when the machine is built and after
    /// each reset.
    /// </summary>
    /// <exception cref="Firmware.BootImageException">An image is missing, malformed or does not fit.</exception>
    internal abstract void Load(Pc pc, bool isReset);
}
