namespace Ringfence.Machines;

/// <summary>How a machine ended.</summary>
/// <param name="Reason">Why.</param>
/// <param name="ExitCode">
/// What a command that ran the machine should exit with: 0 after power-off, reset or stop; (v &lt;&lt; 1) | 1 after the guest wrote v to
/// the debug-exit port; 3 for a triple fault or a dead machine; 4 for an internal error.
/// </param>
/// <param name="Report">
/// For people: empty for an orderly end, otherwise what happened, the registers, and the instruction at which it happened.
/// </param>
public sealed record MachineExit(MachineExitReason Reason, int ExitCode, string Report);
