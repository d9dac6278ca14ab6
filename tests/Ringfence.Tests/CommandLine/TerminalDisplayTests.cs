using Ringfence.Cli.Running;
using Ringfence.Devices.Video;

namespace Ringfence.Tests.CommandLine;

public class TerminalDisplayTests
{
    private readonly StringWriter _terminal = new();
    private readonly TerminalDisplay _display;

    public TerminalDisplayTests() => _display = new TerminalDisplay(_terminal);

    [Fact]
    public void The_first_picture_is_written_whole_and_the_next_only_where_it_differs()
    {
        Shown(Screen((1, 0), "ab", "cd")).ShouldBe("[?1049h[0m[2J[?25l[0m[2J[1;1H[0;37;40mab[2;1Hcd[0m[1;2H[?25h");
        Shown(Screen((1, 0), "ab", "cd")).ShouldBe("");
        Shown(Screen((1, 0), "ab", "cx")).ShouldBe("[2;2H[0;37;40mx[0m[1;2H");
        Shown(Screen((0, 1), "ab", "cx")).ShouldBe("[2;1H");
        Shown(Screen(null, "ab", "cx")).ShouldBe("[?25l");
        _display.Redraw();
        Shown(Screen(null, "ab", "cx")).ShouldContain("ab");
    }

    [Fact]
    public void Colors_are_those_of_the_pc()
    {
        TextCell[] cells = [new((byte)'r', 4, 1, false), new((byte)'y', 14, 0, true), new(0xc9, 7, 8, false)];
        Shown(new TextScreen(3, 1, cells, null)).ShouldContain("[0;31;44mr[0;5;93;40my[0;37;100m╔");
    }

    [Fact]
    public void Graphics_are_announced_and_text_comes_back()
    {
        Shown(Screen(null, "ab"));
        Shown(null, (640, 480)).ShouldContain("The screen shows graphics of 640x480 pixels.");
        Shown(null, (640, 480)).ShouldBe("");
        Shown(null).ShouldContain("The screen is off.");
        Shown(Screen(null, "ab")).ShouldContain("ab");
    }

    [Fact]
    public void A_small_terminal_shows_the_part_with_the_cursor()
    {
        _display.Resize(2, 2);
        Shown(Screen((0, 0), "abc", "def", "ghi")).ShouldContain("ab[2;1Hde");
        string moved = Shown(Screen((0, 2), "abc", "def", "ghi"));
        moved.ShouldContain("de");
        moved.ShouldContain("gh");
        moved.ShouldEndWith("[2;1H");
    }

    [Fact]
    public void The_terminal_is_given_back_once()
    {
        _display.Close();
        _terminal.ToString().ShouldBe("", "it was never taken");
        TerminalDisplay display = new(_terminal);
        display.Update(Screen(null, "ab"));
        _terminal.GetStringBuilder().Clear();
        display.Close();
        display.Close();
        display.Update(Screen(null, "xy"));
        _terminal.ToString().ShouldBe("\e[0m\e[?25h\e[?1049l");
    }

    private static TextScreen Screen((int Column, int Row)? cursor, params string[] rows) =>
        new(rows[0].Length, rows.Length, [.. rows.SelectMany(r => r).Select(c => new TextCell((byte)c, 7, 0, false))], cursor);

    /// <summary>What an update writes, without the escape characters.</summary>
    private string Shown(TextScreen? screen, (int Width, int Height) size = default)
    {
        _terminal.GetStringBuilder().Clear();
        _display.Update(screen, size);
        return _terminal.ToString().Replace("\e", "");
    }
}
