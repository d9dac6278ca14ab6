using System.Diagnostics;
using System.Text;

namespace Ringfence.Tests.CommandLine;

/// <summary>What a run of the command left behind.</summary>
internal sealed record CommandResult(int ExitCode, byte[] OutputBytes, string Errors)
{
    public string Output => Encoding.UTF8.GetString(OutputBytes);

    public string[] OutputLines => Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    public string[] ErrorLines => Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries);
}

/// <summary>Runs the built command as a process of its own.</summary>
internal static class RingfenceProcess
{
    public static readonly string Program = Path.Combine(AppContext.BaseDirectory, "Ringfence.Cli.dll");

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    public static CommandResult Run(params string[] arguments) => Run([], arguments);

    /// <summary>Runs a guest in the current engine.</summary>
    public static CommandResult RunGuest(byte[] input, params string[] arguments) => Run(input, GuestArguments(arguments));

    public static CommandResult Run(byte[] input, string[] arguments)
    {
        using Process process = Start(arguments);
        return Finish(process, input);
    }

    /// <summary>Starts a guest in the current engine.</summary>
    public static Process StartGuest(params string[] arguments) => Start(GuestArguments(arguments));

    /// <summary>The command that runs a guest in the current engine.</summary>
    public static string[] GuestArguments(params string[] arguments) => ["run", "--engine", Engines.Current, .. arguments];

    public static Process Start(params string[] arguments) => StartProgram("dotnet", [Program, .. arguments]);

    public static Process StartProgram(string program, params string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = AppContext.BaseDirectory,
        };
        return Process.Start(start)!;
    }

    public static CommandResult Finish(Process process, byte[] input)
    {
        using MemoryStream output = new();
        Task copy = process.StandardOutput.BaseStream.CopyToAsync(output);
        Task<string> errors = process.StandardError.ReadToEndAsync();
        try
        {
            process.StandardInput.BaseStream.Write(input);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // The command has ended without reading its input.
        }

        if (!process.WaitForExit(Patience))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException("The command did not end.");
        }

        copy.Wait();
        return new CommandResult(process.ExitCode, output.ToArray(), errors.Result);
    }
}
