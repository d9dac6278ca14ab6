namespace Ringfence.Devices.Video;

/// <summary>Copy of everything in an adapter's registers that a picture depends on.</summary>
internal sealed class VideoRegisters
{
    /// <summary>Registers of the CRT controller.</summary>
    public byte[] Crtc { get; } = new byte[25];

    /// <summary>Registers of the sequencer.</summary>
    public byte[] Sequencer { get; } = new byte[5];

    /// <summary>Registers of the graphics controller.</summary>
    public byte[] Graphics { get; } = new byte[9];

    /// <summary>Registers of the attribute controller.</summary>
    public byte[] Attributes { get; } = new byte[21];

    /// <summary>The converter's colors.</summary>
    public byte[] Colors { get; } = new byte[VgaDac.Length];

    /// <summary>The converter's mask.</summary>
    public byte ColorMask { get; set; }

    /// <summary>Have the converter's components 8 bits?</summary>
    public bool HasWideColors { get; set; }

    /// <summary>Since when (guest time) the screen is dark; null while it shows something.</summary>
    public long? DarkSince { get; set; }

    /// <summary>The mode of the Bochs extensions, if one is on.</summary>
    public PackedMode? Packed { get; set; }
}
