using Ringfence.Devices;
using Ringfence.Machines;

namespace Ringfence.Web;

/// <summary>What the page's buttons do, one at a time and never on a thread that serves others: a machine may take its time to stand still.</summary>
internal sealed class MachineCommands(VirtualMachine machine) : IDisposable
{
    private readonly SemaphoreSlim _one = new(1, 1);
    private readonly Dictionary<string, Action> _commands = new(StringComparer.Ordinal)
    {
        ["pause"] = machine.Pause,
        ["resume"] = machine.Resume,
        ["reset"] = machine.Reset,
        ["power"] = machine.PressPowerButton,
        ["stop"] = () => machine.Stop(),
        ["ctrl-alt-del"] = () => machine.Screen?.PressKey(Key.LeftControl, Key.LeftAlt, Key.Delete),
    };

    /// <summary>Whether there is a command of that name.</summary>
    public bool Has(string name) => _commands.ContainsKey(name);

    /// <summary>Carries a command out.</summary>
    /// <returns>Null, or a line that says why it cannot be.</returns>
    public async Task<string?> RunAsync(string name, CancellationToken cancellation)
    {
        await _one.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            if (machine.State == MachineState.Ended) return "The machine has ended.";
            if (name == "ctrl-alt-del" && machine.Screen is null) return "The machine has no display adapter.";
            await Task.Run(_commands[name], CancellationToken.None).ConfigureAwait(false);
            return null;
        }
        catch (InvalidOperationException)
        {
            // It ended while it was asked.
            return "The machine has ended.";
        }
        finally
        {
            _one.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _one.Dispose();
}
