global using unsafe Handler = delegate*<Ringfence.Processors.Processor, Ringfence.Processors.VcpuState*,
    Ringfence.Processors.Instructions.Operation*, Ringfence.Processors.Instructions.Operation*>;
using System.Runtime.InteropServices;
using Iced.Intel;

namespace Ringfence.Processors.Instructions;

/// <summary>
/// One decoded instruction, ready to run: the handler that is its meaning, and its operands with everything that can be
/// known at decode time. Lives in native memory; the operations of a block stand behind each other.
/// <para>
/// A handler gets (processor, state, operation) and returns the operation to continue with, or null to leave the
/// engine's loop with <see cref="VcpuState.Rip"/> exact. Straight-line handlers end in <see cref="Flow.Next"/>, which
/// calls the next handler in tail position; the JIT makes that a jump. Blocks are bounded, so even a handler that is
/// not compiled to a tail call cannot exhaust the host's stack.
/// </para>
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = SizeInBytes)]
internal unsafe struct Operation
{
    /// <summary>A cache line each.</summary>
    public const int SizeInBytes = 64;

    /// <summary>The instruction's meaning.</summary>
    public Handler Execute;

    /// <summary>
    /// Byte offset into <see cref="VcpuState.Gpr"/> of the general register that is written (first operand), so that AH is
    /// RAX's offset plus 1. For XMM, MMX, x87, segment, control and debug registers: the register's number.
    /// </summary>
    public byte Destination;

    /// <summary>As <see cref="Destination"/>, for the register that is only read (second operand, or first if memory is written).</summary>
    public byte Source;

    /// <summary>Byte offset of the base register: <see cref="VcpuState.ZeroSlot"/> if none, <see cref="VcpuState.PageSlot"/> if RIP-relative.</summary>
    public byte Base;

    /// <summary>Byte offset of the index register, the zero slot if none.</summary>
    public byte Index;

    /// <summary>Shift of the index: 0 to 3.</summary>
    public byte Scale;

    /// <summary><see cref="SegmentIndex"/> of the memory operand, overrides applied; Flat for ES, CS, SS, DS in 64-bit mode.</summary>
    public byte Segment;

    /// <summary>Instruction length in bytes.</summary>
    public byte Length;

    /// <summary>Operand size of the instruction in bytes (2, 4 or 8), which is not always that of its operands.</summary>
    public byte OperandSize;

    /// <summary>1-based position of the instruction in its block: what executing up to and including it adds to the count.</summary>
    public ushort Count;

    /// <summary>Offset of the instruction's first byte in its page.</summary>
    public ushort PageOffset;

    /// <summary>Iced's <see cref="Iced.Intel.Code"/> of the instruction, for the rare paths and for statistics.</summary>
    public ushort Code;

    /// <summary><see cref="OperationFlags"/>.</summary>
    public ushort Flags;

    /// <summary>Displacement of the memory operand, sign-extended; for RIP-relative operands relative to the page's first byte.</summary>
    public long Displacement;

    /// <summary>Mask of effective addresses: 16, 32 or 64 bits.</summary>
    public ulong AddressMask;

    /// <summary>
    /// Immediate operand, sign-extended. Near branches: target relative to the page's first byte. Far pointers: offset,
    /// with the selector in <see cref="Displacement"/>. ENTER: size, nesting level in bits 16 and up.
    /// </summary>
    public ulong Immediate;

    /// <summary>Where a direct branch inside the page leads, once resolved.</summary>
    public Operation* Target;

    /// <summary>Sensitive instructions: their meaning; <see cref="Execute"/> accounts for the exit around it.</summary>
    public Handler Definition;

    /// <summary>Iced's code of the instruction.</summary>
    public readonly Code IcedCode => (Code)Code;
}

/// <summary>Bits of <see cref="Operation.Flags"/>.</summary>
internal static class OperationFlags
{
    /// <summary>LOCK prefix.</summary>
    public const ushort Lock = 1;

    /// <summary>REP or REPE prefix.</summary>
    public const ushort Repeat = 2;

    /// <summary>REPNE prefix.</summary>
    public const ushort RepeatNotEqual = 4;

    /// <summary>The instruction has a memory operand that was decoded into the addressing fields.</summary>
    public const ushort Memory = 8;

    /// <summary>Nothing of the block follows: the handler transfers control or leaves. Set by Select.</summary>
    public const ushort EndsBlock = 16;

    /// <summary>Decoded for execution one instruction at a time: never chained, and string instructions do one iteration.</summary>
    public const ushort SingleStep = 32;

    /// <summary>The instruction is sensitive: its handler runs as an exit. Set by Select.</summary>
    public const ushort Sensitive = 64;
}
