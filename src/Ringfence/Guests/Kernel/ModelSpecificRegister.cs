namespace Ringfence.Guests.Kernel;

/// <summary>The model-specific registers the kernel uses (Intel SDM 4, table 2-2).</summary>
internal static class ModelSpecificRegister
{
    public const uint ApicBase = 0x1b;
    public const uint Efer = 0xc000_0080;
    public const uint Star = 0xc000_0081;
    public const uint Lstar = 0xc000_0082;
    public const uint Fmask = 0xc000_0084;
    public const uint GsBase = 0xc000_0101;
    public const uint KernelGsBase = 0xc000_0102;
}
