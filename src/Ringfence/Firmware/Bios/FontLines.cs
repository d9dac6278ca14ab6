namespace Ringfence.Firmware.Bios;

/// <summary>
/// Lines and blocks of code page 437, B0h to DFh, for any height. A line character is what its four arms are: none, a single or a double line. Double lines
/// are drawn as bands from which the middle is cut.
/// </summary>
internal static class FontLines
{
    private const int FirstArms = 0xb3;
    private const byte All = 0xff;

    /// <summary>Draws a character.</summary>
    /// <param name="code">B0h to DFh.</param>
    /// <param name="height">Rows.</param>
    /// <param name="glyph">Its rows.</param>
    public static void Draw(int code, int height, Span<byte> glyph)
    {
        glyph.Clear();
        switch (code)
        {
            case 0xb0:
                for (int y = 0; y < height; y++) glyph[y] = (y & 1) == 0 ? (byte)0x22 : (byte)0x88;
                break;
            case 0xb1:
                for (int y = 0; y < height; y++) glyph[y] = (y & 1) == 0 ? (byte)0x55 : (byte)0xaa;
                break;
            case 0xb2:
                for (int y = 0; y < height; y++) glyph[y] = (y & 1) == 0 ? (byte)0xdd : (byte)0x77;
                break;
            case 0xdb:
                glyph.Fill(All);
                break;
            case 0xdc:
                glyph[(height / 2)..].Fill(All);
                break;
            case 0xdd:
                glyph.Fill(0xf0);
                break;
            case 0xde:
                glyph.Fill(0x0f);
                break;
            case 0xdf:
                glyph[..(height / 2)].Fill(All);
                break;
            default:
                string arms = Arms[code - FirstArms];
                DrawArms(glyph, arms[0] - '0', arms[1] - '0', arms[2] - '0', arms[3] - '0');
                break;
        }
    }

    // Up, right, down, left, from B3h on.
    private static readonly string[] Arms =
    [
        "1010", "1011", "1012", "2021", "0021", "0012", "2022", "2020", "0022", "2002", "2001", "1002", "0011", "1100", "1101", "0111",
        "1110", "0101", "1111", "1210", "2120", "2200", "0220", "2202", "0222", "2220", "0202", "2222", "1202", "2101", "0212", "0121",
        "2100", "1200", "0210", "0120", "2121", "1212", "1001", "0110",
    ];

    private static void DrawArms(Span<byte> glyph, int up, int right, int down, int left)
    {
        const int Column = 4;
        int height = glyph.Length;
        int row = (height / 2) - 1;
        bool isDoubleAcross = right == 2 || left == 2;
        bool isDoubleUpright = up == 2 || down == 2;

        // Bands of double lines, which end where the crossing line's outer edge is.
        int top = isDoubleAcross ? row - 1 : row, bottom = isDoubleAcross ? row + 1 : row;
        int start = isDoubleUpright ? 2 : 3, end = isDoubleUpright ? 6 : 4;
        if (up == 2) Fill(glyph, 2, 6, 0, bottom, true);
        if (down == 2) Fill(glyph, 2, 6, top, height - 1, true);
        if (left == 2) Fill(glyph, 0, end, row - 1, row + 1, true);
        if (right == 2) Fill(glyph, start, 7, row - 1, row + 1, true);
        if (up == 2) Fill(glyph, Column, Column, 0, isDoubleAcross ? row : row - 1, false);
        if (down == 2) Fill(glyph, Column, Column, isDoubleAcross ? row : row + 1, height - 1, false);
        if (left == 2) Fill(glyph, 0, isDoubleUpright ? Column : 2, row, row, false);
        if (right == 2) Fill(glyph, isDoubleUpright ? Column : 5, 7, row, row, false);

        // A double line that runs through keeps its far side only where no other goes out.
        if (up == 2 && down == 2 && !isDoubleAcross) Fill(glyph, Column, Column, 0, height - 1, false);
        if (left == 2 && right == 2 && !isDoubleUpright) Fill(glyph, 0, 7, row, row, false);

        // Single lines end at the crossing line's nearer edge, or in the middle.
        bool isUprightThrough = up == 2 && down == 2, isAcrossThrough = left == 2 && right == 2;
        if (up == 1) Fill(glyph, 3, 4, 0, isAcrossThrough && down == 0 ? row - 1 : bottom, true);
        if (down == 1) Fill(glyph, 3, 4, isAcrossThrough && up == 0 ? row + 1 : top, height - 1, true);
        if (left == 1) Fill(glyph, 0, isUprightThrough && right == 0 ? 3 : end, row, row, true);
        if (right == 1) Fill(glyph, isUprightThrough && left == 0 ? 5 : start, 7, row, row, true);
    }

    private static void Fill(Span<byte> glyph, int left, int right, int top, int bottom, bool set)
    {
        byte mask = (byte)((All >> left) & (All << (7 - right)));
        for (int y = Math.Max(top, 0); y <= Math.Min(bottom, glyph.Length - 1); y++) glyph[y] = (byte)(set ? glyph[y] | mask : glyph[y] & ~mask);
    }
}
