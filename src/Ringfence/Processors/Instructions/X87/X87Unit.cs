using System.Runtime.CompilerServices;
using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.X87;

/// <summary>
/// The x87 register stack, status word and pointers in <see cref="VcpuState"/> (Intel SDM 1 8.1), and how an instruction's
/// exceptions become status (8.5, 8.6): invalid, denormal and divide-by-zero exceptions that are not masked leave
/// the operands as they were; the others complete. Either way #MF waits for the next waiting instruction.
/// </summary>
internal static unsafe class X87Unit
{
#pragma warning disable CS1591 // the manual's names
    public const int StackFault = 0x40;
    public const int ErrorSummary = 0x80;
    public const int C0 = 0x100;
    public const int C1 = 0x200;
    public const int C2 = 0x400;
    public const int Top = 0x3800;
    public const int C3 = 0x4000;
    public const int Busy = 0x8000;
#pragma warning restore CS1591

    /// <summary>Physical register of ST(i).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Physical(VcpuState* s, int i) => ((s->X87Status >> 11) + i) & 7;

    /// <summary>Is ST(i) empty?</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsEmpty(VcpuState* s, int i) => ((s->X87Tag >> Physical(s, i)) & 1) == 0;

    /// <summary>The value of ST(i).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floatx80 Get(VcpuState* s, int i)
    {
        int register = Physical(s, i);
        return new(s->X87SignExponent[register], s->X87Significand[register]);
    }

    /// <summary>Writes ST(i), which is then not empty.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set(VcpuState* s, int i, Floatx80 value)
    {
        int register = Physical(s, i);
        s->X87SignExponent[register] = value.SignExponent;
        s->X87Significand[register] = value.Significand;
        s->X87Tag |= (byte)(1 << register);
    }

    /// <summary>Adds to TOP.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Rotate(VcpuState* s, int count) =>
        s->X87Status = (ushort)((s->X87Status & ~Top) | ((s->X87Status + (count << 11)) & Top));

    /// <summary>Makes ST(i) empty.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Free(VcpuState* s, int i) => s->X87Tag &= (byte)~(1 << Physical(s, i));

    /// <summary>Pops the stack.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Pop(VcpuState* s)
    {
        Free(s, 0);
        Rotate(s, 1);
    }

    /// <summary>Pushes a value; the caller has looked for room.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Push(VcpuState* s, Floatx80 value)
    {
        Rotate(s, -1);
        Set(s, 0, value);
    }

    /// <summary>Replaces condition codes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetCodes(VcpuState* s, int which, int codes) => s->X87Status = (ushort)((s->X87Status & ~which) | codes);

    /// <summary>Records exceptions and C1 in the status word. False: a result must not be written, nor the stack popped.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Settle(VcpuState* s, ref FloatContext context)
    {
        if (context.Flags != 0) return SettleExceptions(s, ref context);
        SetCodes(s, C1, 0);
        return true;
    }

    /// <summary>An operand's register is empty. True: masked, and the default NaN is the result.</summary>
    public static bool Underflow(VcpuState* s)
    {
        SetCodes(s, C1, FloatExceptions.Invalid | StackFault);
        return IsInvalidMasked(s);
    }

    /// <summary>There is no room for a push. True: masked, and the default NaN is pushed.</summary>
    public static bool Overflow(VcpuState* s)
    {
        SetCodes(s, C1, FloatExceptions.Invalid | StackFault | C1);
        return IsInvalidMasked(s);
    }

    /// <summary>Recomputes ES and B from flags and masks (after loads of the control or status word).</summary>
    public static void Summarize(VcpuState* s)
    {
        bool pending = (s->X87Status & ~s->X87Control & FloatExceptions.All) != 0;
        SetCodes(s, ErrorSummary | Busy, pending ? ErrorSummary | Busy : 0);
    }

    /// <summary>Records the instruction as the last non-control one (Intel SDM 1 8.1.8, 8.1.9).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Note(VcpuState* s, Operation* op)
    {
        s->X87InstructionPointer = Flow.InstructionPointer(s, op);
        s->X87InstructionSelector = s->Mode == ProcessorMode.Long ? (ushort)0 : s->Segment(SegmentIndex.Cs).Selector;
        s->X87Opcode = (ushort)((op->Source << 8) | op->Destination);
    }

    /// <summary>As <see cref="Note"/>, with the memory operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void NoteMemory(VcpuState* s, Operation* op, ulong offset)
    {
        Note(s, op);
        s->X87DataPointer = offset;
        s->X87DataSelector = s->Mode == ProcessorMode.Long ? (ushort)0 : s->Segment((SegmentIndex)op->Segment).Selector;
    }

    /// <summary>The number i of the instruction's operand ST(i): ModRM.rm.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Register(Operation* op) => op->Destination & 7;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool SettleExceptions(VcpuState* s, ref FloatContext context)
    {
        int unmasked = context.Flags & ~context.Masks;
        if ((unmasked & FloatExceptions.PreComputation) != 0)
        {
            SetCodes(s, C1, (context.Flags & FloatExceptions.PreComputation) | ErrorSummary | Busy);
            return false;
        }

        SetCodes(s, C1, context.Flags | (context.RoundedUp ? C1 : 0) | (unmasked != 0 ? ErrorSummary | Busy : 0));
        return true;
    }

    private static bool IsInvalidMasked(VcpuState* s)
    {
        if ((s->X87Control & FloatExceptions.Invalid) != 0) return true;
        s->X87Status |= ErrorSummary | Busy;
        return false;
    }
}
