using Ringfence.Firmware;

namespace Ringfence.Tests.Firmware;

public class ConsoleFontTests
{
    [Fact]
    public void Letters_look_like_letters() =>
        Lines('A')[2..13].ShouldBe(
        [
            "........",
            "...##...",
            "..#..#..",
            ".#....#.",
            ".#....#.",
            ".#....#.",
            ".######.",
            ".#....#.",
            ".#....#.",
            ".#....#.",
            "........",
        ]);

    [Fact]
    public void Boxes_join()
    {
        foreach (int vertical in (int[])[0xb3, 0xba, 0xc3, 0xc5, 0xdb]) Lines(vertical).ShouldAllBe(line => line.Contains('#'));
        foreach (int horizontal in (int[])[0xc4, 0xcd, 0xc5, 0xce, 0xdb]) Lines(horizontal).ShouldContain(line => line.StartsWith('#') && line.EndsWith('#'));
        foreach (int down in (int[])[0xda, 0xbf, 0xc2]) Lines(down)[15].ShouldBe(Lines(0xb3)[0]);
    }

    [Fact]
    public void Every_character_but_the_blanks_has_its_own_glyph()
    {
        ConsoleFont.Glyphs.Length.ShouldBe(256 * ConsoleFont.Height);
        int[] codes = [.. Enumerable.Range(0, 256).Where(c => c is not 0 and not 32 and not 255)];
        codes.ShouldAllBe(c => Lines(c).Any(line => line.Contains('#')));
        codes.Select(c => string.Concat(Lines(c))).Distinct().Count().ShouldBeGreaterThan(245);
    }

    private static string[] Lines(int character) =>
        [.. ConsoleFont.Glyphs.Slice(character * ConsoleFont.Height, ConsoleFont.Height).ToArray().Select(b => Convert.ToString(b, 2).PadLeft(8, '0').Replace('0', '.').Replace('1', '#'))];
}
