namespace Ringfence.Devices;

/// <summary>The 440FX host bridge with its programmable attribute map: which of ROM and RAM answers between C0000h and FFFFFh (440FX data sheet, 3.2.19).</summary>
/// <param name="changed">Told start, length, whether reads and whether writes reach the RAM.</param>
internal sealed class ShadowControl(Action<ulong, ulong, bool, bool> changed)
    : PciFunction("pci-host", 0x8086, 0x1237, 0x06_0000, 2)
{
    /// <summary>PAM0; six more follow.</summary>
    public const int FirstRegister = 0x59;

    private const int Registers = 7;
    private const ulong BiosStart = 0xf_0000;
    private const ulong BiosBytes = 0x1_0000;
    private const ulong FirstStart = 0xc_0000;
    private const ulong PartBytes = 0x4000;

    private readonly byte[] _known = new byte[Registers];

    /// <inheritdoc/>
    protected override void OnConfigurationWritten(int offset, int size)
    {
        for (int i = 0; i < Registers; i++)
        {
            byte value = (byte)Read(FirstRegister + i, 1);
            byte old = _known[i];
            if (value == old) continue;
            _known[i] = value;
            if (i == 0)
            {
                // The low half of PAM0 is reserved.
                Tell(old >> 4, value >> 4, BiosStart, BiosBytes);
                continue;
            }

            ulong start = FirstStart + ((ulong)(i - 1) * 2 * PartBytes);
            Tell(old & 3, value & 3, start, PartBytes);
            Tell(old >> 4, value >> 4, start + PartBytes, PartBytes);
        }
    }

    private void Tell(int old, int value, ulong start, ulong length)
    {
        if (((old ^ value) & 3) != 0) changed(start, length, (value & 1) != 0, (value & 2) != 0);
    }
}
