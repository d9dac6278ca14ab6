using System.Text;
using Ringfence.Cli.Commands;
using Ringfence.Cli.Host;
using Ringfence.Cli.Running;

namespace Ringfence.Cli.Comparing;

/// <summary>What is typed on COM1, the same in each engine.</summary>
/// <param name="Bytes">The bytes, as they are.</param>
/// <param name="Source">Where they come from, for people.</param>
internal sealed record GuestInput(byte[] Bytes, string Source)
{
    /// <summary>What the built-in guest is told if nobody says: arithmetic, system calls, faults, preemption, sleep, and its power-off.</summary>
    public const string DefaultScript = "primes 40000\npi 1000000\ncalls 100000\npointers\ncrash\ndemo\nsleep 0.2\npoweroff\n";

    private const int MaximumBytes = 16 << 20;

    private static string TooLarge => $"more than {MaximumBytes >> 20} MiB cannot be typed";

    /// <summary>Reads what is to be typed: a file, else standard input unless it is a terminal, else the default of the built-in guest.</summary>
    /// <exception cref="UserErrorException">It cannot be read, or is too large.</exception>
    public static GuestInput Read(CompareOptions options)
    {
        if (options.Input is { } path) return new GuestInput(InputFile.Read(path, MaximumBytes, TooLarge), path);
        if (!Terminal.IsInputTerminal && ReadStandardInput() is { Length: > 0 } typed) return new GuestInput(typed, "standard input");
        return options.Guest.IsBuiltIn ? new GuestInput(Encoding.ASCII.GetBytes(DefaultScript), "built-in script") : new GuestInput([], "nothing");
    }

    private static byte[] ReadStandardInput()
    {
        try
        {
            return InputFile.ReadAll(StandardStream.Read, MaximumBytes) ?? throw new UserErrorException($"standard input: {TooLarge}");
        }
        catch (IOException)
        {
            // A standard input that is closed is none.
            return [];
        }
    }
}
