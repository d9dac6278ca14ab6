using System.Text.Json;
using Ringfence.Machines;

namespace Ringfence.Cli.Running;

/// <summary>How a run has ended.</summary>
/// <param name="Reason">Why, in snake case: a <see cref="MachineExitReason"/>, <c>timeout</c> or <c>stopped</c>.</param>
/// <param name="ExitCode">What a command that ran it exits with.</param>
/// <param name="Message">What there is to say about it: nothing, a line, or a report of several lines.</param>
internal sealed record RunEnd(string Reason, int ExitCode, string Message = "")
{
    /// <summary>The guest powered off.</summary>
    public static readonly string PoweredOff = NameOf(MachineExitReason.PowerOff);

    /// <summary>Waits for the first of the machine's own end, the timeout, and what the user or the host asks for. Then the machine is at rest.</summary>
    public static RunEnd Await(VirtualMachine machine, TimeSpan? timeout, Task<RunEnd> interruption)
    {
        Task<MachineExit> completion = machine.Completion;
        Task first = timeout is { } time
            ? Task.WhenAny(completion, interruption, Task.Delay(time)).GetAwaiter().GetResult()
            : Task.WhenAny(completion, interruption).GetAwaiter().GetResult();
        MachineExit exit = machine.Stop();
        if (interruption.IsCompleted) return interruption.Result;
        if (first != completion && exit.Reason == MachineExitReason.Stopped)
            return new RunEnd("timeout", ExitCodes.Timeout, $"stopped after {timeout!.Value.TotalSeconds:0.###} s");
        return new RunEnd(NameOf(exit.Reason), exit.ExitCode, exit.Report);
    }

    private static string NameOf(MachineExitReason reason) => JsonNamingPolicy.SnakeCaseLower.ConvertName(reason.ToString());
}
