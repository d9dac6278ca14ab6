using Spectre.Console;

namespace Ringfence.Cli.Running;

/// <summary>Makes consoles that write reports as text.</summary>
internal static class ReportConsole
{
    /// <summary>A console of a fixed width.</summary>
    /// <param name="text">Where it writes.</param>
    /// <param name="width">Columns.</param>
    /// <param name="onTerminal">Whether it may be coloured.</param>
    public static IAnsiConsole Create(TextWriter text, int width, bool onTerminal)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = onTerminal ? AnsiSupport.Detect : AnsiSupport.No,
            ColorSystem = onTerminal ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
            Out = new AnsiConsoleOutput(text),
            Interactive = InteractionSupport.No,
        });
        console.Profile.Width = width;
        return console;
    }
}
