namespace Ringfence.Processors.Exits;

/// <summary>One exit, or a time of sleep, as a trace of exits holds it.</summary>
/// <param name="Start">When it began, in ticks of <see cref="System.Diagnostics.Stopwatch"/>.</param>
/// <param name="End">When guest code went on, or the next exit began.</param>
/// <param name="Reason">Why; of a sleep <see cref="ExitReason.Halt"/>.</param>
/// <param name="IsIdle">The processor slept.</param>
/// <param name="Address">Instruction pointer, as far as it is known.</param>
/// <param name="Detail">
/// Port, linear address of a page fault, vector, or Iced's code of an instruction, depending on the reason; 0 if there is none.
/// </param>
internal readonly record struct ExitRecord(long Start, long End, ExitReason Reason, bool IsIdle, ulong Address, ulong Detail);
