using System.Numerics;
using Iced.Intel;

namespace Ringfence.Processors.Instructions.Integer;

/// <summary>PUSH and POP of general registers, immediates and memory, PUSHA, POPA, ENTER, LEAVE (Intel SDM 1 chapter 6).</summary>
internal static unsafe class StackInstructions
{
    private const int Rsp = 4 * 8;
    private const int Rbp = 5 * 8;

    /// <summary>The handler, or null if the instruction is none of these.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing => op->OperandSize switch
        {
            2 => Select<ushort, TAddressing>(instruction),
            4 => Select<uint, TAddressing>(instruction),
            _ => Select<ulong, TAddressing>(instruction),
        };

    private static Handler Select<T, TAddressing>(in Instruction instruction)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Push when instruction.Op0Kind == OpKind.Memory:
                return &PushMemory<T, TAddressing>;
            case Mnemonic.Push when instruction.Op0Kind != OpKind.Register:
                return &PushImmediate<T, TAddressing>;
            case Mnemonic.Push when instruction.Op0Register.IsGPR():
                return &PushRegister<T, TAddressing>;
            case Mnemonic.Pop when instruction.Op0Kind == OpKind.Memory:
                return &PopMemory<T, TAddressing>;
            case Mnemonic.Pop when instruction.Op0Register.IsGPR():
                return &PopRegister<T, TAddressing>;
            case Mnemonic.Pusha or Mnemonic.Pushad:
                return &PushAll<T, TAddressing>;
            case Mnemonic.Popa or Mnemonic.Popad:
                return &PopAll<T, TAddressing>;
            case Mnemonic.Enter:
                return &Enter<T, TAddressing>;
            case Mnemonic.Leave:
                return &Leave<T, TAddressing>;
            default:
                return null;
        }
    }

    private static Operation* PushRegister<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing =>
        Operand<TAddressing>.TryPush(processor, s, Register.Read<T>(s, op->Destination)) ? Flow.Next(processor, s, op) : Flow.Fault(s, op);

    private static Operation* PushImmediate<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing =>
        Operand<TAddressing>.TryPush(processor, s, T.CreateTruncating(op->Immediate)) ? Flow.Next(processor, s, op) : Flow.Fault(s, op);

    private static Operation* PushMemory<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged
        where TAddressing : struct, IAddressing
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T value)) return Flow.Fault(s, op);
        return Operand<TAddressing>.TryPush(processor, s, value) ? Flow.Next(processor, s, op) : Flow.Fault(s, op);
    }

    private static Operation* PopRegister<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing
    {
        if (!Operand<TAddressing>.TryPeek(processor, s, out T value)) return Flow.Fault(s, op);
        Operand<TAddressing>.DropStack(s, (ulong)sizeof(T));
        Register.Write(s, op->Destination, value);
        return Flow.Next(processor, s, op);
    }

    /// <summary>An address based on RSP is computed after RSP was incremented (Intel SDM 2B POP); a fault takes that back.</summary>
    private static Operation* PopMemory<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged
        where TAddressing : struct, IAddressing
    {
        if (!Operand<TAddressing>.TryPeek(processor, s, out T value)) return Flow.Fault(s, op);
        ulong rsp = s->Gpr[4];
        Operand<TAddressing>.DropStack(s, (ulong)sizeof(T));
        if (Operand<TAddressing>.TryWrite(processor, s, op, value)) return Flow.Next(processor, s, op);
        s->Gpr[4] = rsp;
        return Flow.Fault(s, op);
    }

    /// <summary>A fault on any of the eight leaves RSP as it was; lower words may have been written, which is not architectural.</summary>
    private static Operation* PushAll<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing
    {
        ulong rsp = s->Gpr[4];
        for (int i = 0; i < 8; i++)
        {
            T value = i == 4 ? T.CreateTruncating(rsp) : Register.Read<T>(s, i * 8);
            if (Operand<TAddressing>.TryPush(processor, s, value)) continue;
            s->Gpr[4] = rsp;
            return Flow.Fault(s, op);
        }

        return Flow.Next(processor, s, op);
    }

    private static Operation* PopAll<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing
    {
        ulong mask = s->StackMask;
        for (int pass = 0; pass < 2; pass++)
        {
            for (int i = 0; i < 8; i++)
            {
                ulong at = (s->Gpr[4] + (ulong)(i * sizeof(T))) & mask;
                if (!Operand<TAddressing>.TryReadAt(processor, s, (int)SegmentIndex.Ss, at, out T value)) return Flow.Fault(s, op);
                if (pass == 1 && i != 3) Register.Write(s, (7 - i) * 8, value);
            }
        }

        Operand<TAddressing>.DropStack(s, (ulong)(8 * sizeof(T)));
        return Flow.Next(processor, s, op);
    }

    private static Operation* Leave<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing
    {
        ulong rsp = s->Gpr[4];
        ulong mask = s->StackMask;
        s->Gpr[4] = (rsp & ~mask) | (s->Gpr[5] & mask);
        if (!Operand<TAddressing>.TryPeek(processor, s, out T value))
        {
            s->Gpr[4] = rsp;
            return Flow.Fault(s, op);
        }

        Operand<TAddressing>.DropStack(s, (ulong)sizeof(T));
        Register.Write(s, Rbp, value);
        return Flow.Next(processor, s, op);
    }

    /// <summary>ENTER size, level (Intel SDM 2A): RBP and RSP change only when every push has succeeded.</summary>
    private static Operation* Enter<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing
    {
        ulong rsp = s->Gpr[4];
        if (!TryEnter<T, TAddressing>(processor, s, op))
        {
            s->Gpr[4] = rsp;
            return Flow.Fault(s, op);
        }

        return Flow.Next(processor, s, op);
    }

    private static bool TryEnter<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing
    {
        int size = (ushort)op->Immediate;
        int level = (int)(op->Immediate >> 16) & 31;
        if (!Operand<TAddressing>.TryPush(processor, s, Register.Read<T>(s, Rbp))) return false;
        T frame = Register.Read<T>(s, Rsp);
        int stack = TAddressing.IsLong ? (int)SegmentIndex.FlatStack : (int)SegmentIndex.Ss;
        ulong mask = s->StackMask;
        ulong rbp = s->Gpr[5];
        for (int i = 1; i < level; i++)
        {
            rbp -= (ulong)sizeof(T);
            if (!Operand<TAddressing>.TryReadAt(processor, s, stack, rbp & mask, out T value)) return false;
            if (!Operand<TAddressing>.TryPush(processor, s, value)) return false;
        }

        if (level > 0 && !Operand<TAddressing>.TryPush(processor, s, frame)) return false;
        ulong rsp = (s->Gpr[4] & ~mask) | ((s->Gpr[4] - (ulong)size) & mask);
        if (!processor.Mmu.TryGetLinear(stack, rsp & mask, 1, write: true, out ulong linear)
            || !processor.Mmu.TryProbeWrite(linear, 1, Memory.Privilege.Current)) return false;
        s->Gpr[4] = rsp;
        Register.Write(s, Rbp, frame);
        return true;
    }
}
