namespace Ringfence.Machines;

/// <summary>The first reason to end a machine; the processors stop, then it becomes a <see cref="MachineExit"/>.</summary>
/// <param name="Reason">Why.</param>
/// <param name="ExitCode">See <see cref="MachineExit.ExitCode"/>.</param>
/// <param name="Processor">The processor that caused it, -1 if none did.</param>
/// <param name="Exception">What the monitor failed with.</param>
internal sealed record EndRequest(MachineExitReason Reason, int ExitCode = 0, int Processor = -1, Exception? Exception = null);
