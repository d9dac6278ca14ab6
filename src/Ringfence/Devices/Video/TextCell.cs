namespace Ringfence.Devices.Video;

/// <summary>A character of a text mode.</summary>
/// <param name="Code">Its number in code page 437 (unless the guest has loaded another font).</param>
/// <param name="Foreground">Its color: bits 0 to 3 are blue, green, red, bright.</param>
/// <param name="Background">The color behind it, likewise.</param>
/// <param name="IsBlinking">Does it blink?</param>
public readonly record struct TextCell(byte Code, byte Foreground, byte Background, bool IsBlinking)
{
    /// <summary>The character; codes without one are blanks.</summary>
    public char Character => CodePage437.ToUnicode(Code);
}
