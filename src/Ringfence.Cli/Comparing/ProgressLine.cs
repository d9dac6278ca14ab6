using System.Globalization;
using System.Text;
using Ringfence.Cli.Host;
using Ringfence.Machines;

namespace Ringfence.Cli.Comparing;

/// <summary>One line on the terminal at standard error that says what runs, for how long, and what it has done so far. Gone when disposed.</summary>
internal sealed class ProgressLine : IDisposable
{
    private const string Clear = "\r\e[K";
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);

    private readonly CancellationTokenSource _end = new();
    private readonly Task _task;

    /// <summary>Begins, if there is a terminal.</summary>
    /// <param name="what">What runs.</param>
    /// <param name="machine">The machine; it must not be disposed before this.</param>
    /// <param name="counts">Whether it counts instructions.</param>
    public ProgressLine(string what, VirtualMachine machine, bool counts) =>
        _task = Terminal.IsErrorTerminal ? Task.Run(() => RunAsync(what, machine, counts)) : Task.CompletedTask;

    /// <inheritdoc/>
    public void Dispose()
    {
        _end.Cancel();
        _task.GetAwaiter().GetResult();
        _end.Dispose();
    }

    private static string Describe(string what, MachineStatistics statistics, bool counts)
    {
        string done = counts
            ? string.Create(CultureInfo.InvariantCulture, $"{statistics.Instructions / 1e6:N0} million instructions")
            : string.Create(CultureInfo.InvariantCulture, $"{statistics.Exits.Values.Sum():N0} exits");
        return string.Create(CultureInfo.InvariantCulture, $"{what}: {statistics.WallTime.TotalSeconds:N1} s, {done}");
    }

    private async Task RunAsync(string what, VirtualMachine machine, bool counts)
    {
        try
        {
            using PeriodicTimer timer = new(Interval);
            while (await timer.WaitForNextTickAsync(_end.Token).ConfigureAwait(false)) Write(Clear + Describe(what, machine.Statistics, counts));
        }
        catch (OperationCanceledException)
        {
            Write(Clear);
        }
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
}
