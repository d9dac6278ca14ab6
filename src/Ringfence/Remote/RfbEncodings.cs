namespace Ringfence.Remote;

/// <summary>What a client can take besides Raw (RFC 6143 7.7, and the registry of encodings).</summary>
/// <param name="Zrle">ZRLE.</param>
/// <param name="Sizes">DesktopSize: the screen may become another size.</param>
/// <param name="Screens">ExtendedDesktopSize: the same with a list of screens, and the client may ask for a size.</param>
/// <param name="KeyCodes">QEMU's extended key events: keys by what they are, not by what they type.</param>
internal readonly record struct RfbEncodings(bool Zrle, bool Sizes, bool Screens, bool KeyCodes)
{
    /// <summary>DesktopSize.</summary>
    public const int DesktopSize = -223;

    /// <summary>ExtendedDesktopSize.</summary>
    public const int ExtendedDesktopSize = -308;

    /// <summary>QEMU's extended key events.</summary>
    public const int ExtendedKeyEvent = -258;

    /// <summary>With one more.</summary>
    public RfbEncodings With(int encoding) => encoding switch
    {
        ZrleEncoder.Encoding => this with { Zrle = true },
        DesktopSize => this with { Sizes = true },
        ExtendedDesktopSize => this with { Screens = true },
        ExtendedKeyEvent => this with { KeyCodes = true },
        _ => this,
    };
}
