using System.Globalization;
using System.Numerics;

namespace Ringfence.Firmware.Bios;

/// <summary>
/// The characters of code page 437, a byte for each row of eight points: those of <c>Font.txt</c>, letters with accents put together from them, and lines
/// and blocks that are computed. The lower fonts are made from the one of 16 rows by leaving out rows that tell least.
/// </summary>
internal static class BiosFont
{
    /// <summary>8 by 16 points, 256 characters.</summary>
    public static ReadOnlySpan<byte> Tall => TallGlyphs;

    /// <summary>8 by 14 points.</summary>
    public static ReadOnlySpan<byte> Medium => MediumGlyphs;

    /// <summary>8 by 8 points.</summary>
    public static ReadOnlySpan<byte> Small => SmallGlyphs;

    /// <summary>Rows of the tall font.</summary>
    public const int Height = 16;

    private const int FirstLine = 0xb0;
    private const int LastLine = 0xdf;

    private static readonly byte[] TallGlyphs = Build();
    private static readonly byte[] MediumGlyphs = Reduce(14);
    private static readonly byte[] SmallGlyphs = Reduce(8);

    private static byte[] Build()
    {
        byte[] font = new byte[256 * Height];
        ReadDrawings(font);
        Invert(font, 0x07, 0x08);
        Invert(font, 0x09, 0x0a);
        FontAccents.AddTo(font);
        for (int code = FirstLine; code <= LastLine; code++) FontLines.Draw(code, Height, font.AsSpan(code * Height, Height));
        return font;
    }

    /// <summary>Reads the drawings: below a line of numbers, rows of as many characters side by side.</summary>
    private static void ReadDrawings(byte[] font)
    {
        using Stream stream = typeof(BiosFont).Assembly.GetManifestResourceStream("Ringfence.Firmware.Bios.Font.txt")
            ?? throw new InvalidOperationException("The font is missing.");
        using StreamReader reader = new(stream);
        reader.ReadLine();
        while (reader.ReadLine() is { } line)
        {
            string[] codes = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (codes.Length == 0) continue;
            for (int row = 0; row < Height; row++)
            {
                string[] rows = (reader.ReadLine() ?? "").Split(' ');
                for (int i = 0; i < codes.Length; i++)
                {
                    int code = int.Parse(codes[i], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
                    for (int x = 0; x < 8; x++)
                        if (rows[i][x] == '#') font[(code * Height) + row] |= (byte)(0x80 >> x);
                }
            }
        }
    }

    private static void Invert(byte[] font, int from, int to)
    {
        for (int row = 0; row < Height; row++) font[(to * Height) + row] = (byte)~font[(from * Height) + row];
    }

    private static byte[] Reduce(int height)
    {
        byte[] font = new byte[256 * height];
        for (int code = 0; code < 256; code++)
        {
            Span<byte> glyph = font.AsSpan(code * height, height);
            ReadOnlySpan<byte> tall = TallGlyphs.AsSpan(code * Height, Height);
            if (code is >= FirstLine and <= LastLine)
            {
                FontLines.Draw(code, height, glyph);
            }
            else if (height == 14)
            {
                tall[1..15].CopyTo(glyph);
            }
            else
            {
                // Two rows above small letters, five of them, one below.
                Thin(tall[..5], glyph[..2]);
                Thin(tall[5..12], glyph[2..7]);
                Thin(tall[12..], glyph[7..]);
            }
        }

        return font;
    }

    /// <summary>Leaves out the rows that differ least from a neighbour, until as many are left as there is room for.</summary>
    private static void Thin(ReadOnlySpan<byte> rows, Span<byte> result)
    {
        List<byte> left = [.. rows];

        // Empty rows at the top first: what is drawn keeps its foot.
        while (left.Count > result.Length && left[0] == 0) left.RemoveAt(0);
        while (left.Count > result.Length)
        {
            int best = 0, least = int.MaxValue;
            for (int i = left.Count - 1; i >= 0; i--)
            {
                int before = i > 0 ? BitOperations.PopCount((uint)(left[i] ^ left[i - 1])) : 9;
                int after = i < left.Count - 1 ? BitOperations.PopCount((uint)(left[i] ^ left[i + 1])) : 9;
                bool isEdge = i == 0 || i == left.Count - 1;
                int difference = Math.Min(before, after) + (isEdge && left.Count > 2 ? 4 : 0) - (left[i] == 0 ? 1 : 0);
                if (difference >= least) continue;
                least = difference;
                best = i;
            }

            left.RemoveAt(best);
        }

        for (int i = 0; i < result.Length; i++) result[i] = left[i];
    }
}
