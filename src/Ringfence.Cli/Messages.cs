using System.Text;
using Ringfence.Cli.Host;

namespace Ringfence.Cli;

/// <summary>
/// What the command itself has to say, on standard error: never mixed into the guest's output, coloured only on a terminal, and with
/// carriage returns, because the terminal may be raw.
/// </summary>
internal static class Messages
{
    private const string Red = "\e[31m";
    private const string Plain = "\e[0m";

    private static bool UseColour => Terminal.IsErrorTerminal && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));

    /// <summary>An error of the user's: one line.</summary>
    public static void Error(string message)
    {
        string line = message.ReplaceLineEndings(" ");
        Write(UseColour ? $"{Red}ringfence:{Plain} {line}" : $"ringfence: {line}");
    }

    /// <summary>One or more lines of information.</summary>
    public static void Write(string text) => Send(text.TrimEnd() + "\n");

    /// <summary>Ends a line that the guest has left open.</summary>
    public static void NewLine() => Send("\n");

    private static void Send(string text)
    {
        try
        {
            StandardStream.Write(StandardStream.Error, Encoding.UTF8.GetBytes(Terminal.IsErrorTerminal ? text.ReplaceLineEndings("\r\n") : text));
        }
        catch (IOException)
        {
            // Nobody listens, and there is no other place to say so.
        }
    }
}
