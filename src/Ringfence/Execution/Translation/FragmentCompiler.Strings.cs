using Iced.Intel;
using Ringfence.Processors;

namespace Ringfence.Execution.Translation;

/// <summary>
/// String instructions going upwards through flat segments: single elements, and repeated moves and stores that stay inside one page, which are
/// the host's own instruction. Everything else calls out.
/// </summary>
internal sealed unsafe partial class FragmentCompiler
{
    private const int PageBytes = 4096;

    private bool IsStringInPlace(in Instruction instruction)
    {
        bool source = false;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            switch (instruction.GetOpKind(i))
            {
                case OpKind.MemoryESRDI when _mode.IsLong:
                    break;
                case OpKind.MemorySegRSI when _mode.IsLong:
                    source = true;
                    break;
                case OpKind.MemoryESEDI when _mode.Kind == 1 && _mode.IsFlat(SegmentIndex.Es):
                    break;
                case OpKind.MemorySegESI when _mode.Kind == 1 && _mode.IsFlat(SegmentOf(instruction.MemorySegment)):
                    source = true;
                    break;
                case OpKind.Register:
                    break;
                default:
                    return false;
            }
        }

        if (source && _mode.IsLong && instruction.MemorySegment is Register.FS or Register.GS) return false;
        bool repeats = instruction.HasRepPrefix || instruction.HasRepnePrefix;
        return !repeats || IsCompare(instruction) || (instruction.HasRepPrefix && IsStoreOrMove(instruction));
    }

    private static bool IsStoreOrMove(in Instruction instruction) => instruction.Mnemonic is Mnemonic.Stosb or Mnemonic.Stosw or Mnemonic.Stosd or Mnemonic.Stosq
        or Mnemonic.Movsb or Mnemonic.Movsw or Mnemonic.Movsd or Mnemonic.Movsq;

    private static bool IsCompare(in Instruction instruction) =>
        instruction.Mnemonic is Mnemonic.Cmpsb or Mnemonic.Cmpsw or Mnemonic.Cmpsd or Mnemonic.Cmpsq;

    private void EmitString(in Instruction instruction)
    {
        NeedSaved();
        _main.Write(SensitiveCode.TestDirection);
        JumpSlow(_code.JumpIfNotEqual);
        if (!_mode.IsLong)
        {
            // The upper halves mean nothing in these modes, and an advance clears them.
            Move(Register.ESI, Register.ESI);
            Move(Register.EDI, Register.EDI);
        }

        int size = instruction.MemorySize.GetSize();
        if (instruction.HasRepPrefix || instruction.HasRepnePrefix) EmitRepeated(instruction, size);
        else EmitElement(instruction, size);
    }

    private void EmitElement(in Instruction instruction, int size)
    {
        _flags = FlagsAt.Saved;
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Stosb or Mnemonic.Stosw or Mnemonic.Stosd or Mnemonic.Stosq:
                EmitProbe(Register.RDI, size, write: true);
                EmitStore(Register.RDI, Register.RAX, size);
                Advance(Register.RDI, size);
                break;
            case Mnemonic.Lodsb or Mnemonic.Lodsw or Mnemonic.Lodsd or Mnemonic.Lodsq:
                EmitProbe(Register.RSI, size, write: false);
                EmitLoad(Register.RAX, Register.RSI, size);
                Advance(Register.RSI, size);
                break;
            case Mnemonic.Movsb or Mnemonic.Movsw or Mnemonic.Movsd or Mnemonic.Movsq:
                EmitProbe(Register.RSI, size, write: false);
                EmitLoad(Register.R15, Register.RSI, size);
                EmitProbe(Register.RDI, size, write: true);
                EmitStore(Register.RDI, Register.R15, size);
                Advance(Register.RSI, size);
                Advance(Register.RDI, size);
                break;
            case Mnemonic.Scasb or Mnemonic.Scasw or Mnemonic.Scasd or Mnemonic.Scasq:
                EmitProbe(Register.RDI, size, write: false);
                EmitCompare(Register.RAX, Register.RDI, size);
                Advance(Register.RDI, size);
                _flags = FlagsAt.Host;
                break;
            default:
                // Processors read the second operand first.
                EmitProbe(Register.RDI, size, write: false);
                EmitLoad(Register.R15, Register.RDI, size);
                EmitProbe(Register.RSI, size, write: false);
                EmitCompareMemory(Register.RSI, Register.R15, size);
                Advance(Register.RSI, size);
                Advance(Register.RDI, size);
                _flags = FlagsAt.Host;
                break;
        }
    }

    /// <summary>REP STOS, REP MOVS and repeated CMPS with everything inside one page on each side.</summary>
    private void EmitRepeated(in Instruction instruction, int size)
    {
        bool compares = IsCompare(instruction);
        bool moves = compares || instruction.Mnemonic is Mnemonic.Movsb or Mnemonic.Movsw or Mnemonic.Movsd or Mnemonic.Movsq;
        if (!_mode.IsLong) Move(Register.ECX, Register.ECX);
        Encode(Instruction.Create(Code.Cmp_rm64_imm32, Register.RCX, PageBytes / size));
        JumpSlow(_code.JumpIfAbove);
        CheckSamePage(Register.RDI, size);
        if (moves) CheckSamePage(Register.RSI, size);
        if (compares)
        {
            // Without an element the flags stay as they are.
            Encode(Instruction.Create(Code.Test_rm64_r64, Register.RCX, Register.RCX));
            JumpSlow(SensitiveCode.JumpIfEqual);
        }

        EmitProbe(Register.RDI, 1, !compares);
        if (moves)
        {
            Move(Register.R15, Register.R13);
            EmitProbe(Register.RSI, 1, write: false);
            AddTo(Register.RSI, Register.R13);
            AddTo(Register.RDI, Register.R15);
        }
        else
        {
            AddTo(Register.RDI, Register.R13);
        }

        if (compares)
        {
            Encode(Instruction.Create(Code.Neg_rm64, Register.R13));
            Encode(Instruction.Create(Code.Neg_rm64, Register.R15));
            _main.Write(HostCompare(instruction));
            Encode(Instruction.Create(Code.Lea_r64_m, Register.RSI, new MemoryOperand(Register.RSI, Register.R13)));
            Encode(Instruction.Create(Code.Lea_r64_m, Register.RDI, new MemoryOperand(Register.RDI, Register.R15)));
            _flags = FlagsAt.Host;
            return;
        }

        _main.Write(HostString(instruction.Mnemonic));
        if (moves) SubtractFrom(Register.RSI, Register.R13);
        SubtractFrom(Register.RDI, moves ? Register.R15 : Register.R13);
        _flags = FlagsAt.Saved;
    }

    private static byte[] HostString(Mnemonic mnemonic) => mnemonic switch
    {
        Mnemonic.Stosb => [0xf3, 0xaa],
        Mnemonic.Stosw => [0x66, 0xf3, 0xab],
        Mnemonic.Stosd => [0xf3, 0xab],
        Mnemonic.Stosq => [0xf3, 0x48, 0xab],
        Mnemonic.Movsb => [0xf3, 0xa4],
        Mnemonic.Movsw => [0x66, 0xf3, 0xa5],
        Mnemonic.Movsd => [0xf3, 0xa5],
        _ => [0xf3, 0x48, 0xa5],
    };

    private static byte[] HostCompare(in Instruction instruction)
    {
        byte repeat = (byte)(instruction.HasRepnePrefix ? 0xf2 : 0xf3);
        return instruction.Mnemonic switch
        {
            Mnemonic.Cmpsb => [repeat, 0xa6],
            Mnemonic.Cmpsw => [0x66, repeat, 0xa7],
            Mnemonic.Cmpsd => [repeat, 0xa7],
            _ => [repeat, 0x48, 0xa7],
        };
    }

    /// <summary>Calls out if RCX elements from an address on do not end in the page where they begin. Changes R14.</summary>
    private void CheckSamePage(Register address, int size)
    {
        Encode(Instruction.Create(Code.Lea_r64_m, Register.R14, new MemoryOperand(address, Register.RCX, size, -1L, 1, false, Register.None)));
        Encode(Instruction.Create(Code.Xor_r64_rm64, Register.R14, address));
        Encode(Instruction.Create(Code.Cmp_rm64_imm32, Register.R14, PageBytes - 1));
        JumpSlow(_code.JumpIfAbove);
    }

    private void Advance(Register register, int size) => Encode(_mode.IsLong
        ? Instruction.Create(Code.Lea_r64_m, register, new MemoryOperand(register, (long)size, 1))
        : Instruction.Create(Code.Lea_r32_m, Part(register, 4), new MemoryOperand(register, (long)size, 1)));

    private void AddTo(Register register, Register value) => Encode(Instruction.Create(Code.Add_rm64_r64, register, value));

    private void SubtractFrom(Register register, Register value) => Encode(Instruction.Create(Code.Sub_rm64_r64, register, value));

    private void EmitLoad(Register target, Register address, int size)
    {
        Code code = size switch { 1 => Code.Mov_r8_rm8, 2 => Code.Mov_r16_rm16, 4 => Code.Mov_r32_rm32, _ => Code.Mov_r64_rm64 };
        Encode(Instruction.Create(code, Part(target, size), new MemoryOperand(address, Register.R13)));
    }

    private void EmitStore(Register address, Register source, int size)
    {
        Code code = size switch { 1 => Code.Mov_rm8_r8, 2 => Code.Mov_rm16_r16, 4 => Code.Mov_rm32_r32, _ => Code.Mov_rm64_r64 };
        Encode(Instruction.Create(code, new MemoryOperand(address, Register.R13), Part(source, size)));
    }

    private void EmitCompare(Register first, Register address, int size)
    {
        Code code = size switch { 1 => Code.Cmp_r8_rm8, 2 => Code.Cmp_r16_rm16, 4 => Code.Cmp_r32_rm32, _ => Code.Cmp_r64_rm64 };
        Encode(Instruction.Create(code, Part(first, size), new MemoryOperand(address, Register.R13)));
    }

    private void EmitCompareMemory(Register address, Register second, int size)
    {
        Code code = size switch { 1 => Code.Cmp_rm8_r8, 2 => Code.Cmp_rm16_r16, 4 => Code.Cmp_rm32_r32, _ => Code.Cmp_rm64_r64 };
        Encode(Instruction.Create(code, new MemoryOperand(address, Register.R13), Part(second, size)));
    }
}
