using System.Text;
using Ringfence.Cli.Host;

namespace Ringfence.Cli.Running;

/// <summary>One line on the terminal at standard error that says how far some work is, if it takes longer than a second. Gone when disposed.</summary>
internal sealed class StatusLine : IDisposable
{
    private const string Clear = "\r\e[K";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);

    private readonly CancellationTokenSource _end = new();
    private readonly Task _task;

    /// <summary>Begins, if there is a terminal.</summary>
    /// <param name="describe">Says how far it is; called on another thread.</param>
    public StatusLine(Func<string> describe) => _task = Terminal.IsErrorTerminal ? Task.Run(() => ShowAsync(describe)) : Task.CompletedTask;

    /// <inheritdoc/>
    public void Dispose()
    {
        _end.Cancel();
        _task.GetAwaiter().GetResult();
        _end.Dispose();
    }

    private static void Write(string text)
    {
        try
        {
            StandardStream.Write(StandardStream.Error, Encoding.UTF8.GetBytes(text));
        }
        catch (IOException)
        {
            // Nobody looks.
        }
    }

    private async Task ShowAsync(Func<string> describe)
    {
        try
        {
            await Task.Delay(Patience, _end.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return;
        }

        using PeriodicTimer timer = new(Interval);
        try
        {
            do Write(Clear + describe());
            while (await timer.WaitForNextTickAsync(_end.Token).ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            Write(Clear);
        }
    }
}
