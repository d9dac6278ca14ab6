using Ringfence.Processors;
using Ringfence.Processors.Exits;

namespace Ringfence.Execution;

/// <summary>
/// A way to execute one processor's guest code. Between calls of <see cref="Run"/> all of the processor's state is in its
/// <see cref="VcpuState"/>; during a call it may live in the engine, and only the processor's own thread may look.
/// </summary>
internal interface IExecutionEngine : IDisposable
{
    /// <summary>Name as on the command line, such as <c>interpreter</c>.</summary>
    string Name { get; }

    /// <summary>Whether all executed instructions are counted, those in translated code among them.</summary>
    bool CountsInstructions { get; }

    /// <summary>
    /// Executes guest code: delivers faults, interrupts, INIT and start-up IPIs itself, and returns only for
    /// <see cref="ExitReason.Halt"/> (HLT or waiting for SIPI, and no event that wakes it), <see cref="ExitReason.Stop"/> (the Stop event is set; the caller
    /// withdraws it), <see cref="ExitReason.InstructionLimit"/> (count reached, or the Timer event is set; the caller withdraws it) and
    /// <see cref="ExitReason.Shutdown"/> (triple fault).
    /// </summary>
    ExitReason Run();
}
