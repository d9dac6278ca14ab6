using System.Numerics;
using Iced.Intel;

namespace Ringfence.Processors.Instructions.Integer;

/// <summary>NOP and hints, CLC, STC, CMC, CLD, STD, LAHF, SAHF, SALC, BOUND, RDRAND, CLFLUSH.</summary>
internal static unsafe class MiscellaneousInstructions
{
    /// <summary>The handler, or null if the instruction is none of these.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing => instruction.Mnemonic switch
        {
            Mnemonic.Nop or Mnemonic.Reservednop or Mnemonic.Pause => &Nothing,
            Mnemonic.Clc => &ClearCarry,
            Mnemonic.Stc => &SetCarry,
            Mnemonic.Cmc => &ComplementCarry,
            Mnemonic.Cld => &ClearDirection,
            Mnemonic.Std => &SetDirection,
            Mnemonic.Lahf => &LoadFlags,
            Mnemonic.Sahf => &StoreFlags,
            Mnemonic.Salc => &SetAlFromCarry,
            Mnemonic.Bound => OperandWidth.Of(instruction) == 2 || instruction.Code == Code.Bound_r16_m1616 ? &Bound<short, TAddressing> : &Bound<int, TAddressing>,
            Mnemonic.Rdrand => OperandWidth.Of(instruction) switch { 2 => &Random<ushort>, 4 => &Random<uint>, _ => &Random<ulong> },
            Mnemonic.Clflush => &FlushLine<TAddressing>,
            _ => null,
        };

    private static Operation* Nothing(Processor processor, VcpuState* s, Operation* op) => Flow.Next(processor, s, op);

    private static Operation* ClearCarry(Processor processor, VcpuState* s, Operation* op)
    {
        StatusFlags.SetCarry(s, false);
        return Flow.Next(processor, s, op);
    }

    private static Operation* SetCarry(Processor processor, VcpuState* s, Operation* op)
    {
        StatusFlags.SetCarry(s, true);
        return Flow.Next(processor, s, op);
    }

    private static Operation* ComplementCarry(Processor processor, VcpuState* s, Operation* op)
    {
        StatusFlags.SetCarry(s, !StatusFlags.Carry(s));
        return Flow.Next(processor, s, op);
    }

    private static Operation* ClearDirection(Processor processor, VcpuState* s, Operation* op)
    {
        s->SystemFlags &= ~RflagsBits.Df;
        return Flow.Next(processor, s, op);
    }

    private static Operation* SetDirection(Processor processor, VcpuState* s, Operation* op)
    {
        s->SystemFlags |= RflagsBits.Df;
        return Flow.Next(processor, s, op);
    }

    private static Operation* LoadFlags(Processor processor, VcpuState* s, Operation* op)
    {
        Register.Write(s, 1, (byte)(StatusFlags.Get(in *s) | RflagsBits.AlwaysOne));
        return Flow.Next(processor, s, op);
    }

    private static Operation* StoreFlags(Processor processor, VcpuState* s, Operation* op)
    {
        ulong overflow = StatusFlags.Overflow(s) ? RflagsBits.Of : 0;
        StatusFlags.Set(ref *s, Register.Read<byte>(s, 1) | overflow);
        return Flow.Next(processor, s, op);
    }

    private static Operation* SetAlFromCarry(Processor processor, VcpuState* s, Operation* op)
    {
        Register.Write(s, 0, StatusFlags.Carry(s) ? (byte)0xff : (byte)0);
        return Flow.Next(processor, s, op);
    }

    private static Operation* Bound<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing
    {
        ulong address = Operand<TAddressing>.EffectiveAddress(s, op);
        if (!Operand<TAddressing>.TryReadAt(processor, s, op->Segment, address, out T lower)) return Flow.Fault(s, op);
        ulong second = (address + (ulong)sizeof(T)) & op->AddressMask;
        if (!Operand<TAddressing>.TryReadAt(processor, s, op->Segment, second, out T upper)) return Flow.Fault(s, op);
        T index = Register.Read<T>(s, op->Destination);
        return index < lower || index > upper
            ? Flow.Fault(processor, s, op, ExceptionVector.BoundRange)
            : Flow.Next(processor, s, op);
    }

    private static Operation* Random<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        Register.Write(s, op->Destination, T.CreateTruncating(processor.Bus.NextRandom(processor)));
        StatusFlags.Set(ref *s, RflagsBits.Cf);
        return Flow.Next(processor, s, op);
    }

    /// <summary>Memory is coherent; only the access check of a byte read is left.</summary>
    private static Operation* FlushLine<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing =>
        Operand<TAddressing>.TryRead(processor, s, op, out byte _) ? Flow.Next(processor, s, op) : Flow.Fault(s, op);
}
