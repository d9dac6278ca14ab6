using System.Text;
using Ringfence.Cli.Running;
using Ringfence.Devices;

namespace Ringfence.Tests.CommandLine;

public class TerminalKeysTests
{
    [Theory]
    [InlineData("a", "A")]
    [InlineData("Z!", "Shift+Z Shift+D1")]
    [InlineData("\r\t\u007f", "Enter Tab Backspace")]
    [InlineData("\u0003", "Ctrl+C")]
    [InlineData("\u001c", "Ctrl+Backslash")]
    [InlineData("\u001f", "Ctrl+Shift+Minus")]
    [InlineData("\0", "Ctrl+Space")]
    [InlineData("\e", "Escape")]
    [InlineData("\e\e", "Escape Escape")]
    [InlineData("\e\e[A", "Escape Up")]
    [InlineData("\ex", "Alt+X")]
    [InlineData("\e\u0003", "Ctrl+Alt+C")]
    [InlineData("\e[A\eOB", "Up Down")]
    [InlineData("\e[1;5C", "Ctrl+Right")]
    [InlineData("\e[3~\e[5;2~", "Delete Shift+PageUp")]
    [InlineData("\eOP\e[15~\e[24~\e[[B", "F1 F5 F12 F2")]
    [InlineData("\e[Z", "Shift+Tab")]
    [InlineData("\e[200~\e[99", "")]
    [InlineData("é", "")]
    public void Input_is_keys(string input, string keys) =>
        string.Join(' ', TerminalKeys.Decode(Encoding.UTF8.GetBytes(input)).Select(Name)).ShouldBe(keys);

    [Fact]
    public void Any_input_is_decoded()
    {
        Random random = new(1);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] input = new byte[random.Next(12)];
            random.NextBytes(input);
            for (int j = 0; j < input.Length; j++)
                if (random.Next(2) == 0) input[j] = "\e[O;1~A9"u8[random.Next(8)];
            TerminalKeys.Decode(input).ShouldAllBe(k => k.Key != default(Key));
        }
    }

    private static string Name(KeyChord chord) =>
        $"{(chord.Control ? "Ctrl+" : "")}{(chord.Alt ? "Alt+" : "")}{(chord.Shift ? "Shift+" : "")}{chord.Key}";
}
