using System.Runtime.InteropServices;

namespace Ringfence.Cli.Host;

/// <summary>The signals by which a terminal, a user or a host asks a process to end.</summary>
internal static class EndingSignals
{
    private static readonly (PosixSignal Signal, int Number)[] All = [(PosixSignal.SIGHUP, 1), (PosixSignal.SIGINT, 2), (PosixSignal.SIGQUIT, 3), (PosixSignal.SIGTERM, 15)];

    /// <summary>Handles them.</summary>
    /// <param name="received">Takes the signal's number; false lets it end the process at once.</param>
    /// <returns>What ends the handling.</returns>
    public static List<IDisposable> Handle(Func<int, bool> received) =>
        [.. All.Select(s => PosixSignalRegistration.Create(s.Signal, context => context.Cancel = received(s.Number)))];
}
