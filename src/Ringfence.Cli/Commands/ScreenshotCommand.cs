using System.CommandLine;
using Ringfence.Cli.Running;

namespace Ringfence.Cli.Commands;

/// <summary><c>ringfence screenshot</c>: a picture of what a guest shows.</summary>
internal sealed class ScreenshotCommand : Command, IHasExamples
{
    private const string DefaultSeconds = "10";

    private readonly Argument<string> _file = new("FILE") { Description = "Where the picture is written to, as PNG." };
    private readonly GuestOptionSet _guest = new("Gives up after that time, with exit code 124. [default: 60]");
    private readonly Option<string> _after = GuestOptionSet.Text("--after", "SECONDS", $"Takes the picture that long after power-on. [default: {DefaultSeconds}]");
    private readonly Option<string> _when = GuestOptionSet.Text("--when", "TEXT", "Takes the picture when a text mode shows that text, instead.");
    private readonly Option<string> _type = GuestOptionSet.Text("--type", "TEXT", "With --when: types that text and Enter then, and takes the picture --after seconds later. [default then: 1]");

    public ScreenshotCommand()
        : base("screenshot", "Boots a machine with a display adapter, and takes a picture of its screen.")
    {
        Add(_file);
        Option[] options = [.. _guest.Machine, _guest.Timeout, _after, _when, _type];
        foreach (Option option in options) Add(option);
        SetAction(result => ScreenshotRunner.Run(Read(result)));
    }

    /// <inheritdoc/>
    public string Examples => """
        Examples:
          ringfence screenshot grub.png --cdrom grub-rescue-cdrom.iso --when "grub>"
              GRUB's prompt
          ringfence screenshot ls.png --cdrom grub-rescue-cdrom.iso --when "grub>" --type "ls"
              and what it answers
        """;

    private ScreenshotOptions Read(ParseResult result)
    {
        string? type = result.GetValue(_type);
        string? when = result.GetValue(_when);
        if (type is not null && when is null) throw new UserErrorException("--type needs --when");
        if (type is not null && type.FirstOrDefault(c => !Machines.Screen.CanType(c)) is var odd && odd != default)
            throw new UserErrorException($"--type: a US keyboard cannot type U+{(int)odd:X4}");
        GuestOptions guest = _guest.Read(result);
        if (!guest.UsesFirmware) throw new UserErrorException("screenshot needs a drive or --firmware");
        TimeSpan after = Values.Timeout(result.GetValue(_after) ?? (type is not null ? "1" : DefaultSeconds), "--after");
        return new ScreenshotOptions(guest, result.GetValue(_file)!, after, when, type);
    }
}
