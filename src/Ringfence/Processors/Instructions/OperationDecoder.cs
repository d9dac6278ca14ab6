using Iced.Intel;

namespace Ringfence.Processors.Instructions;

/// <summary>Turns one decoded instruction into an <see cref="Operation"/>: operand fields first, then the handler.</summary>
internal static unsafe class OperationDecoder
{
    /// <summary>
    /// Decoder options for the processor presented: no BMI, LZCNT, CET or MPX, so that their encodings are BSF, BSR and
    /// no-operations, as they are on processors without them.
    /// </summary>
    public const DecoderOptions Options = DecoderOptions.NoMPFX_0FBC | DecoderOptions.NoMPFX_0FBD
        | DecoderOptions.ForceReservedNop | DecoderOptions.NoWbnoinvd;

    private const byte Zero = VcpuState.ZeroSlot * 8;
    private const byte Page = VcpuState.PageSlot * 8;

    /// <summary>Fills an operation from an instruction that was decoded with its page offset as instruction pointer.</summary>
    /// <param name="instruction">The decoded instruction.</param>
    /// <param name="op">Where to put it.</param>
    /// <param name="pageOffset">Offset of its first byte in its page.</param>
    /// <param name="isLong">64-bit code.</param>
    /// <param name="count">Its 1-based position in the block.</param>
    public static void Decode(in Instruction instruction, Operation* op, int pageOffset, bool isLong, int count)
    {
        *op = default;
        op->PageOffset = (ushort)pageOffset;
        op->Count = (ushort)count;
        op->Length = (byte)instruction.Length;
        op->Code = (ushort)instruction.Code;
        if (instruction.IsInvalid)
        {
            op->Execute = instruction.Length >= 15 ? &TooLong : &Undefined;
            op->Flags = OperationFlags.EndsBlock;
            return;
        }

        op->Base = op->Index = Zero;
        op->AddressMask = ulong.MaxValue;
        op->OperandSize = OperandSize(instruction);
        if (instruction.HasLockPrefix) op->Flags |= OperationFlags.Lock;
        if (instruction.HasRepePrefix) op->Flags |= OperationFlags.Repeat;
        if (instruction.HasRepnePrefix) op->Flags |= OperationFlags.RepeatNotEqual;
        SetOperands(instruction, op, isLong);
        Handler handler = isLong
            ? InstructionTable.Select<LongAddressing>(instruction, op)
            : InstructionTable.Select<SegmentedAddressing>(instruction, op);
        if (handler is null)
        {
            handler = &Unimplemented;
            op->Flags |= OperationFlags.EndsBlock;
        }

        op->Execute = handler;
    }

    private static byte OperandSize(in Instruction instruction)
    {
        int size = instruction.Code.ToOpCode().OperandSize;
        if (size == 0)
        {
            // Instructions without sizes: near branches with rel8 have one; the rest follow the code size.
            return instruction.CodeSize switch { CodeSize.Code16 => 2, CodeSize.Code64 => 8, _ => 4 };
        }

        return (byte)(size / 8);
    }

    private static void SetOperands(in Instruction instruction, Operation* op, bool isLong)
    {
        bool haveImmediate = false;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            OpKind kind = instruction.GetOpKind(i);
            switch (kind)
            {
                case OpKind.Register:
                    byte register = RegisterField(instruction.GetOpRegister(i));
                    if (i == 0) op->Destination = register;
                    else if (i == 1) op->Source = register;
                    break;
                case OpKind.NearBranch16:
                    op->Immediate = (ulong)(short)instruction.NearBranch16;
                    break;
                case OpKind.NearBranch32:
                    op->Immediate = (ulong)(int)instruction.NearBranch32;
                    break;
                case OpKind.NearBranch64:
                    op->Immediate = instruction.NearBranch64;
                    break;
                case OpKind.FarBranch16:
                    op->Immediate = instruction.FarBranch16;
                    op->Displacement = instruction.FarBranchSelector;
                    break;
                case OpKind.FarBranch32:
                    op->Immediate = instruction.FarBranch32;
                    op->Displacement = instruction.FarBranchSelector;
                    break;
                case OpKind.Memory:
                    op->Flags |= OperationFlags.Memory;
                    SetMemory(instruction, op, isLong);
                    break;
                case OpKind.MemorySegSI or OpKind.MemoryESDI or OpKind.MemorySegDI:
                    SetString(instruction, op, isLong, 0xffff);
                    break;
                case OpKind.MemorySegESI or OpKind.MemoryESEDI or OpKind.MemorySegEDI:
                    SetString(instruction, op, isLong, 0xffff_ffff);
                    break;
                case OpKind.MemorySegRSI or OpKind.MemoryESRDI or OpKind.MemorySegRDI:
                    SetString(instruction, op, isLong, ulong.MaxValue);
                    break;
                default:
                    ulong immediate = instruction.GetImmediate(i);
                    if (!haveImmediate) op->Immediate = immediate;
                    else if (instruction.Mnemonic == Mnemonic.Enter) op->Immediate = (op->Immediate & 0xffff) | (immediate << 16);
                    else op->Displacement = (long)immediate;
                    haveImmediate = true;
                    break;
            }
        }

        if (instruction.Mnemonic is Mnemonic.Loop or Mnemonic.Loope or Mnemonic.Loopne) op->AddressMask = LoopCounterMask(instruction.Code);
    }

    private static void SetMemory(in Instruction instruction, Operation* op, bool isLong)
    {
        Iced.Intel.Register baseRegister = instruction.MemoryBase;
        Iced.Intel.Register index = instruction.MemoryIndex;
        int width = baseRegister != Iced.Intel.Register.None ? baseRegister.GetSize()
            : index != Iced.Intel.Register.None && index != Iced.Intel.Register.AL ? index.GetSize()
            : instruction.MemoryDisplSize;
        op->AddressMask = width switch { 2 => 0xffffUL, 4 => 0xffff_ffffUL, _ => ulong.MaxValue };
        op->Displacement = (long)instruction.MemoryDisplacement64;
        if (instruction.IsIPRelativeMemoryOperand)
        {
            // Decoded with the page offset as instruction pointer: the target is relative to the page's first byte.
            op->Base = Page;
            op->Displacement = (long)instruction.IPRelativeMemoryAddress;
        }
        else if (baseRegister != Iced.Intel.Register.None)
        {
            op->Base = RegisterField(baseRegister);
        }

        if (index != Iced.Intel.Register.None && index != Iced.Intel.Register.AL) op->Index = RegisterField(index);
        op->Scale = (byte)System.Numerics.BitOperations.TrailingZeroCount(instruction.MemoryIndexScale);
        op->Segment = SegmentField(instruction.MemorySegment, isLong);
        if (op->Segment is not ((byte)SegmentIndex.Flat or (byte)SegmentIndex.FlatStack)) return;

        // Overrides other than FS and GS are ignored (Intel SDM 1 3.3.7.1): whether a fault is #SS depends on the base alone.
        bool stack = baseRegister is Iced.Intel.Register.RSP or Iced.Intel.Register.RBP or Iced.Intel.Register.ESP or Iced.Intel.Register.EBP;
        op->Segment = (byte)(stack ? SegmentIndex.FlatStack : SegmentIndex.Flat);
    }

    private static void SetString(in Instruction instruction, Operation* op, bool isLong, ulong mask)
    {
        op->AddressMask = mask;
        op->Segment = SegmentField(instruction.MemorySegment, isLong);
        if (op->Segment == (byte)SegmentIndex.FlatStack) op->Segment = (byte)SegmentIndex.Flat;
    }

    private static byte SegmentField(Iced.Intel.Register segment, bool isLong)
    {
        SegmentIndex index = segment switch
        {
            Iced.Intel.Register.ES => SegmentIndex.Es,
            Iced.Intel.Register.CS => SegmentIndex.Cs,
            Iced.Intel.Register.SS => SegmentIndex.Ss,
            Iced.Intel.Register.FS => SegmentIndex.Fs,
            Iced.Intel.Register.GS => SegmentIndex.Gs,
            _ => SegmentIndex.Ds,
        };
        if (!isLong || index is SegmentIndex.Fs or SegmentIndex.Gs) return (byte)index;
        return (byte)(index == SegmentIndex.Ss ? SegmentIndex.FlatStack : SegmentIndex.Flat);
    }

    /// <summary>General registers: byte offset into the register file. Others: their number.</summary>
    private static byte RegisterField(Iced.Intel.Register register)
    {
        if (!register.IsGPR()) return (byte)register.GetNumber();
        if (!register.IsGPR8()) return (byte)(register.GetNumber() * 8);
        int number = register - Iced.Intel.Register.AL;
        return (byte)(number < 4 ? number * 8 : number < 8 ? ((number - 4) * 8) + 1 : (number - 4) * 8);
    }

    private static ulong LoopCounterMask(Code code) => code switch
    {
        Code.Loop_rel8_16_CX or Code.Loop_rel8_32_CX or Code.Loope_rel8_16_CX or Code.Loope_rel8_32_CX
            or Code.Loopne_rel8_16_CX or Code.Loopne_rel8_32_CX => 0xffff,
        Code.Loop_rel8_64_RCX or Code.Loop_rel8_16_RCX or Code.Loope_rel8_64_RCX or Code.Loope_rel8_16_RCX
            or Code.Loopne_rel8_64_RCX or Code.Loopne_rel8_16_RCX => ulong.MaxValue,
        _ => 0xffff_ffff,
    };

    private static Operation* Undefined(Processor processor, VcpuState* s, Operation* op) =>
        Flow.Fault(processor, s, op, ExceptionVector.InvalidOpcode);

    /// <summary>More than 15 bytes: #GP(0) (Intel SDM 2A 2.3.11).</summary>
    private static Operation* TooLong(Processor processor, VcpuState* s, Operation* op) =>
        Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);

    private static Operation* Unimplemented(Processor processor, VcpuState* s, Operation* op)
    {
        processor.Statistics.CountUnimplemented(op->IcedCode);
        return Flow.Fault(processor, s, op, ExceptionVector.InvalidOpcode);
    }
}
