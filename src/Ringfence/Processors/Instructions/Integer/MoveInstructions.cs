using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using Iced.Intel;

namespace Ringfence.Processors.Instructions.Integer;

/// <summary>MOV of general registers, MOVZX, MOVSX, MOVSXD, LEA, CMOVcc, SETcc, BSWAP, MOVBE, XLAT and the sign extensions of RAX.</summary>
internal static unsafe class MoveInstructions
{
    /// <summary>The handler, or null if the instruction is none of these.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Mov when IsGeneral(instruction):
                return OperandWidth.Of(instruction) switch
                {
                    1 => SelectMove<byte, TAddressing>(instruction),
                    2 => SelectMove<ushort, TAddressing>(instruction),
                    4 => SelectMove<uint, TAddressing>(instruction),
                    _ => SelectMove<ulong, TAddressing>(instruction),
                };
            case Mnemonic.Movzx:
                return OperandWidth.Of(instruction, 1) == 1 ? SelectExtend<byte, TAddressing>(instruction) : SelectExtend<ushort, TAddressing>(instruction);
            case Mnemonic.Movsx:
                return OperandWidth.Of(instruction, 1) == 1 ? SelectSignExtend<sbyte, TAddressing>(instruction) : SelectSignExtend<short, TAddressing>(instruction);
            case Mnemonic.Movsxd:
                return OperandWidth.Of(instruction, 1) == 2 ? SelectSignExtend<short, TAddressing>(instruction) : SelectSignExtend<int, TAddressing>(instruction);
            case Mnemonic.Lea:
                return OperandWidth.Of(instruction) switch
                {
                    2 => &LoadEffectiveAddress<ushort, TAddressing>,
                    4 => &LoadEffectiveAddress<uint, TAddressing>,
                    _ => &LoadEffectiveAddress<ulong, TAddressing>,
                };
            case Mnemonic.Bswap:
                return OperandWidth.Of(instruction) switch { 2 => &SwapWord, 4 => &Swap<uint>, _ => &Swap<ulong> };
            case Mnemonic.Movbe:
                return OperandWidth.Of(instruction) switch
                {
                    2 => SelectSwapping<ushort, TAddressing>(instruction),
                    4 => SelectSwapping<uint, TAddressing>(instruction),
                    _ => SelectSwapping<ulong, TAddressing>(instruction),
                };
            case Mnemonic.Xlatb:
                return &Translate<TAddressing>;
            case Mnemonic.Cbw:
                return &SignExtendAccumulator<sbyte, ushort>;
            case Mnemonic.Cwde:
                return &SignExtendAccumulator<short, uint>;
            case Mnemonic.Cdqe:
                return &SignExtendAccumulator<int, ulong>;
            case Mnemonic.Cwd:
                return &SpreadSign<short>;
            case Mnemonic.Cdq:
                return &SpreadSign<int>;
            case Mnemonic.Cqo:
                return &SpreadSign<long>;
            default:
                if (instruction.ConditionCode == ConditionCode.None || instruction.FlowControl != FlowControl.Next) return null;
                return instruction.OpCount switch
                {
                    1 => SelectSet<TAddressing>(instruction),
                    2 => SelectConditionalMove<TAddressing>(instruction),
                    _ => null,
                };
        }
    }

    private static bool IsGeneral(in Instruction instruction)
    {
        for (int i = 0; i < 2; i++)
            if (instruction.GetOpKind(i) == OpKind.Register && !instruction.GetOpRegister(i).IsGPR()) return false;
        return true;
    }

    private static Handler SelectMove<T, TAddressing>(in Instruction instruction)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing
    {
        bool registerSource = instruction.Op1Kind == OpKind.Register;
        if (instruction.Op0Kind == OpKind.Memory) return registerSource ? &MemoryRegister<T, TAddressing> : &MemoryImmediate<T, TAddressing>;
        if (instruction.Op1Kind == OpKind.Memory) return &RegisterMemory<T, TAddressing>;
        return registerSource ? &RegisterRegister<T> : &RegisterImmediate<T>;
    }

    private static Operation* RegisterRegister<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        Register.Write(s, op->Destination, Register.Read<T>(s, op->Source));
        return Flow.Next(processor, s, op);
    }

    private static Operation* RegisterImmediate<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        Register.Write(s, op->Destination, T.CreateTruncating(op->Immediate));
        return Flow.Next(processor, s, op);
    }

    private static Operation* RegisterMemory<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T value)) return Flow.Fault(s, op);
        Register.Write(s, op->Destination, value);
        return Flow.Next(processor, s, op);
    }

    private static Operation* MemoryRegister<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing =>
        Operand<TAddressing>.TryWrite(processor, s, op, Register.Read<T>(s, op->Source)) ? Flow.Next(processor, s, op) : Flow.Fault(s, op);

    private static Operation* MemoryImmediate<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing =>
        Operand<TAddressing>.TryWrite(processor, s, op, T.CreateTruncating(op->Immediate)) ? Flow.Next(processor, s, op) : Flow.Fault(s, op);

    private static Handler SelectExtend<TSource, TAddressing>(in Instruction instruction)
        where TSource : unmanaged, IBinaryInteger<TSource>
        where TAddressing : struct, IAddressing
    {
        bool register = instruction.Op1Kind == OpKind.Register;
        return OperandWidth.Of(instruction) switch
        {
            2 => register ? &ExtendRegister<ushort, TSource> : &ExtendMemory<ushort, TSource, TAddressing>,
            4 => register ? &ExtendRegister<uint, TSource> : &ExtendMemory<uint, TSource, TAddressing>,
            _ => register ? &ExtendRegister<ulong, TSource> : &ExtendMemory<ulong, TSource, TAddressing>,
        };
    }

    private static Handler SelectSignExtend<TSource, TAddressing>(in Instruction instruction)
        where TSource : unmanaged, IBinaryInteger<TSource>
        where TAddressing : struct, IAddressing => SelectExtend<TSource, TAddressing>(instruction);

    /// <summary>A signed source type extends its sign, an unsigned one zeroes.</summary>
    private static Operation* ExtendRegister<T, TSource>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TSource : unmanaged, IBinaryInteger<TSource>
    {
        Register.Write(s, op->Destination, T.CreateTruncating(Register.Read<TSource>(s, op->Source)));
        return Flow.Next(processor, s, op);
    }

    private static Operation* ExtendMemory<T, TSource, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TSource : unmanaged, IBinaryInteger<TSource>
        where TAddressing : struct, IAddressing
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out TSource value)) return Flow.Fault(s, op);
        Register.Write(s, op->Destination, T.CreateTruncating(value));
        return Flow.Next(processor, s, op);
    }

    private static Operation* LoadEffectiveAddress<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing
    {
        Register.Write(s, op->Destination, T.CreateTruncating(Operand<TAddressing>.EffectiveAddress(s, op)));
        return Flow.Next(processor, s, op);
    }

    private static Operation* Swap<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        Register.Write(s, op->Destination, ByteSwap(Register.Read<T>(s, op->Destination)));
        return Flow.Next(processor, s, op);
    }

    /// <summary>BSWAP of a 16-bit register is undefined; processors give zero.</summary>
    private static Operation* SwapWord(Processor processor, VcpuState* s, Operation* op)
    {
        Register.Write<ushort>(s, op->Destination, 0);
        return Flow.Next(processor, s, op);
    }

    private static Handler SelectSwapping<T, TAddressing>(in Instruction instruction)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing =>
        instruction.Op0Kind == OpKind.Memory ? &StoreSwapped<T, TAddressing> : &LoadSwapped<T, TAddressing>;

    private static Operation* LoadSwapped<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T value)) return Flow.Fault(s, op);
        Register.Write(s, op->Destination, ByteSwap(value));
        return Flow.Next(processor, s, op);
    }

    private static Operation* StoreSwapped<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing =>
        Operand<TAddressing>.TryWrite(processor, s, op, ByteSwap(Register.Read<T>(s, op->Source))) ? Flow.Next(processor, s, op) : Flow.Fault(s, op);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T ByteSwap<T>(T value)
        where T : unmanaged, IBinaryInteger<T> => sizeof(T) switch
        {
            2 => T.CreateTruncating(BinaryPrimitives.ReverseEndianness(ushort.CreateTruncating(value))),
            4 => T.CreateTruncating(BinaryPrimitives.ReverseEndianness(uint.CreateTruncating(value))),
            _ => T.CreateTruncating(BinaryPrimitives.ReverseEndianness(ulong.CreateTruncating(value))),
        };

    private static Operation* Translate<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        ulong address = (s->Gpr[3] + (byte)s->Gpr[0]) & op->AddressMask;
        if (!Operand<TAddressing>.TryReadAt(processor, s, op->Segment, address, out byte value)) return Flow.Fault(s, op);
        Register.Write(s, 0, value);
        return Flow.Next(processor, s, op);
    }

    private static Operation* SignExtendAccumulator<TSource, T>(Processor processor, VcpuState* s, Operation* op)
        where TSource : unmanaged, IBinaryInteger<TSource>
        where T : unmanaged, IBinaryInteger<T>
    {
        Register.Write(s, 0, T.CreateTruncating(Register.Read<TSource>(s, 0)));
        return Flow.Next(processor, s, op);
    }

    private static Operation* SpreadSign<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        Register.Write(s, 16, Register.Read<T>(s, 0) >> ((sizeof(T) * 8) - 1));
        return Flow.Next(processor, s, op);
    }

    private static Handler SelectSet<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing => instruction.Op0Kind == OpKind.Register
            ? Conditions.Select<SetRegisterMaker>(instruction.ConditionCode)
            : Conditions.Select<SetMemoryMaker<TAddressing>>(instruction.ConditionCode);

    private readonly struct SetRegisterMaker : IConditionalHandler
    {
        public static Handler For<TCondition>()
            where TCondition : struct, ICondition => &SetRegister<TCondition>;
    }

    private readonly struct SetMemoryMaker<TAddressing> : IConditionalHandler
        where TAddressing : struct, IAddressing
    {
        public static Handler For<TCondition>()
            where TCondition : struct, ICondition => &SetMemory<TCondition, TAddressing>;
    }

    private static Operation* SetRegister<TCondition>(Processor processor, VcpuState* s, Operation* op)
        where TCondition : struct, ICondition
    {
        Register.Write(s, op->Destination, TCondition.Holds(s) ? (byte)1 : (byte)0);
        return Flow.Next(processor, s, op);
    }

    private static Operation* SetMemory<TCondition, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TCondition : struct, ICondition
        where TAddressing : struct, IAddressing =>
        Operand<TAddressing>.TryWrite(processor, s, op, TCondition.Holds(s) ? (byte)1 : (byte)0) ? Flow.Next(processor, s, op) : Flow.Fault(s, op);

    private static Handler SelectConditionalMove<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing
    {
        bool register = instruction.Op1Kind == OpKind.Register;
        ConditionCode code = instruction.ConditionCode;
        return OperandWidth.Of(instruction) switch
        {
            2 => register ? Conditions.Select<MoveRegisterMaker<ushort>>(code) : Conditions.Select<MoveMemoryMaker<ushort, TAddressing>>(code),
            4 => register ? Conditions.Select<MoveRegisterMaker<uint>>(code) : Conditions.Select<MoveMemoryMaker<uint, TAddressing>>(code),
            _ => register ? Conditions.Select<MoveRegisterMaker<ulong>>(code) : Conditions.Select<MoveMemoryMaker<ulong, TAddressing>>(code),
        };
    }

    private readonly struct MoveRegisterMaker<T> : IConditionalHandler
        where T : unmanaged, IBinaryInteger<T>
    {
        public static Handler For<TCondition>()
            where TCondition : struct, ICondition => &MoveRegisterIf<T, TCondition>;
    }

    private readonly struct MoveMemoryMaker<T, TAddressing> : IConditionalHandler
        where T : unmanaged, IBinaryInteger<T>
        where TAddressing : struct, IAddressing
    {
        public static Handler For<TCondition>()
            where TCondition : struct, ICondition => &MoveMemoryIf<T, TCondition, TAddressing>;
    }

    /// <summary>A 32-bit CMOVcc clears the upper half whether it moves or not.</summary>
    private static Operation* MoveRegisterIf<T, TCondition>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TCondition : struct, ICondition
    {
        T value = TCondition.Holds(s) ? Register.Read<T>(s, op->Source) : Register.Read<T>(s, op->Destination);
        Register.Write(s, op->Destination, value);
        return Flow.Next(processor, s, op);
    }

    private static Operation* MoveMemoryIf<T, TCondition, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TCondition : struct, ICondition
        where TAddressing : struct, IAddressing
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out T value)) return Flow.Fault(s, op);
        if (!TCondition.Holds(s)) value = Register.Read<T>(s, op->Destination);
        Register.Write(s, op->Destination, value);
        return Flow.Next(processor, s, op);
    }
}
