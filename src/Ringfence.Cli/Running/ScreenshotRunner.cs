using Ringfence.Cli.Commands;
using Ringfence.Machines;

namespace Ringfence.Cli.Running;

/// <summary>Runs a machine until its screen shows what was asked for, and writes the picture.</summary>
internal static class ScreenshotRunner
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    /// <summary>Takes the picture.</summary>
    /// <returns>The exit code.</returns>
    public static int Run(ScreenshotOptions options)
    {
        using OutputFile file = new("FILE", options.Path, bufferBytes: 1 << 16);
        using CancellationTokenSource interruption = new();
        ConsoleCancelEventHandler cancel = (_, arguments) =>
        {
            arguments.Cancel = true;
            interruption.Cancel();
        };
        Console.CancelKeyPress += cancel;
        try
        {
            using VirtualMachine machine = MachineFactory.Create(MachineFactory.OptionsFor(options.Guest));
            machine.Start();
            int exitCode = WaitAsync(machine.Screen!, options, interruption.Token).GetAwaiter().GetResult();
            machine.Screen!.Capture().SavePng(file.Stream);
            return exitCode;
        }
        catch (OperationCanceledException)
        {
            return ExitCodes.Signal + 2;
        }
        catch (MachineEndedException)
        {
            throw new UserErrorException($"the machine ended before it showed '{options.When}'");
        }
        finally
        {
            Console.CancelKeyPress -= cancel;
        }
    }

    private static async Task<int> WaitAsync(Screen screen, ScreenshotOptions options, CancellationToken cancellation)
    {
        if (options.When is { } text)
        {
            try
            {
                await screen.WaitForTextAsync(text, options.Guest.Timeout ?? Patience, cancellation).ConfigureAwait(false);
            }
            catch (TimeoutException)
            {
                Messages.Error($"the screen did not show '{text}'; the picture shows what it showed");
                return ExitCodes.Timeout;
            }

            if (options.Type is null) return ExitCodes.Success;
            screen.TypeText(options.Type + "\n");
        }

        await Task.Delay(options.After, cancellation).ConfigureAwait(false);
        return ExitCodes.Success;
    }
}
