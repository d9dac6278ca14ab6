namespace Ringfence.Firmware.Bios;

/// <summary>Letters with accents: a letter of the font with something above or below it.</summary>
internal static class FontAccents
{
    private const int Height = BiosFont.Height;
    private const int SmallTop = 5;
    private const int CapitalTop = 2;
    private const int Baseline = 12;

    /// <summary>Adds them to the font.</summary>
    public static void AddTo(byte[] font)
    {
        foreach ((byte code, char letter, char accent) in Letters)
        {
            Span<byte> glyph = font.AsSpan(code * Height, Height);
            font.AsSpan(letter * Height, Height).CopyTo(glyph);
            ReadOnlySpan<byte> mark = Mark(accent);
            if (accent == ',')
            {
                mark.CopyTo(glyph[Baseline..]);
                continue;
            }

            if (char.IsUpper(letter))
            {
                // Two rows of the letter make room.
                glyph[CapitalTop..(CapitalTop + 2)].CopyTo(glyph[(CapitalTop + 2)..]);
                mark.CopyTo(glyph);
            }
            else
            {
                glyph[..SmallTop].Clear();
                mark.CopyTo(glyph[1..]);
            }
        }
    }

    private static readonly (byte Code, char Letter, char Accent)[] Letters =
    [
        (0x80, 'C', ','), (0x81, 'u', ':'), (0x82, 'e', '/'), (0x83, 'a', '^'), (0x84, 'a', ':'), (0x85, 'a', '\\'), (0x86, 'a', 'o'), (0x87, 'c', ','),
        (0x88, 'e', '^'), (0x89, 'e', ':'), (0x8a, 'e', '\\'), (0x8b, 'i', ':'), (0x8c, 'i', '^'), (0x8d, 'i', '\\'), (0x8e, 'A', ':'), (0x8f, 'A', 'o'),
        (0x90, 'E', '/'), (0x93, 'o', '^'), (0x94, 'o', ':'), (0x95, 'o', '\\'), (0x96, 'u', '^'), (0x97, 'u', '\\'), (0x98, 'y', ':'), (0x99, 'O', ':'),
        (0x9a, 'U', ':'), (0xa0, 'a', '/'), (0xa1, 'i', '/'), (0xa2, 'o', '/'), (0xa3, 'u', '/'), (0xa4, 'n', '~'), (0xa5, 'N', '~'),
    ];

    // Three rows above a letter, two and more below.
    private static ReadOnlySpan<byte> Mark(char accent) => accent switch
    {
        ':' => [0x6c, 0x6c, 0x00],
        '/' => [0x0c, 0x18, 0x30],
        '\\' => [0x30, 0x18, 0x0c],
        '^' => [0x10, 0x38, 0x6c],
        'o' => [0x38, 0x6c, 0x38],
        '~' => [0x76, 0xdc, 0x00],
        _ => [0x18, 0x0c, 0x38],
    };
}
