using Ringfence.Cli.Running;

namespace Ringfence.Tests.CommandLine;

public sealed class EscapeDecoderTests
{
    [Theory]
    [InlineData("abc\r", "abc\r", "")]
    [InlineData("a\u0001\u0001b", "a\u0001b", "")]
    [InlineData("a\u0001xb", "ab", "Quit")]
    [InlineData("\u0001X", "", "Quit")]
    [InlineData("\u0001h\u0001?", "", "Help Help")]
    [InlineData("\u0001qz", "z", "")]
    [InlineData("\u0003\u001a\u0004", "\u0003\u001a\u0004", "")]
    public void Only_what_follows_ctrl_a_is_for_the_monitor(string typed, string forGuest, string requests)
    {
        EscapeDecoder decoder = new();
        List<byte> guest = [];
        List<ConsoleRequest> asked = [];
        foreach (char key in typed)
        {
            ConsoleRequest request = decoder.Take((byte)key, guest);
            if (request != ConsoleRequest.None) asked.Add(request);
        }

        new string([.. guest.Select(b => (char)b)]).ShouldBe(forGuest);
        string.Join(' ', asked).ShouldBe(requests);
    }
}
