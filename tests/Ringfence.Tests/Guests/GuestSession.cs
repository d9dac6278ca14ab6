using Ringfence.Guests;

namespace Ringfence.Tests.Guests;

/// <summary>A running built-in guest and somebody at its console.</summary>
public abstract class GuestSession : IAsyncDisposable
{
    protected static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>Types characters without a line end.</summary>
    public abstract Task TypeAsync(string text);

    /// <summary>Waits until the guest has printed a text; returns everything since the last wait, line ends as \n.</summary>
    public abstract Task<string> WaitForAsync(string text);

    /// <summary>Waits for the machine's end and returns the exit code.</summary>
    public abstract Task<int> WaitForExitAsync();

    public abstract ValueTask DisposeAsync();

    /// <summary>Types a command and waits for the next prompt.</summary>
    /// <returns>What the command printed.</returns>
    public async Task<string> RunAsync(string command)
    {
        await TypeAsync(command + "\r");
        string output = await WaitForAsync("\n" + BuiltInGuest.Prompt);
        int start = output.IndexOf('\n', StringComparison.Ordinal) + 1;
        return output[start..Math.Max(start, output.Length - BuiltInGuest.Prompt.Length)];
    }
}
