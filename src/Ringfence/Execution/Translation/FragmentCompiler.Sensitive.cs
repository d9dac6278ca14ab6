using Iced.Intel;
using Ringfence.Processors;

namespace Ringfence.Execution.Translation;

/// <summary>
/// Sensitive instructions that are frequent enough to be done in place. What they check is checked by the mode they were compiled for, or by
/// emitted code that calls out when the answer is not the usual one.
/// </summary>
internal sealed unsafe partial class FragmentCompiler
{
    /// <summary>Stands for a linear address that is in no guest register but in the host's R15.</summary>
    public const int NoGuestRegister = 16;

    /// <summary>The guest register whose value a host register holds.</summary>
    private byte GuestOf(Register host)
    {
        for (int i = 15; i >= 0; i--)
            if (!IsResident(i) && Renamed(i) == host) return (byte)i;
        return NoGuestRegister;
    }

    /// <summary>Can a sensitive instruction be done in place in the mode that is being compiled?</summary>
    private bool IsInPlace(in Instruction instruction, TranslationKind kind)
    {
        switch (kind)
        {
            case TranslationKind.ClearInterrupts or TranslationKind.SetInterrupts:
                return _mode.IsKernel;
            case TranslationKind.LoadMxcsr:
                return _mode.IsSimd;
            case TranslationKind.PushFlags or TranslationKind.PopFlags:
                return (_mode.IsKernel || _mode.IsUser) && _mode.Kind != 0 && Math.Abs(instruction.StackPointerIncrement) == StackSize && IsStackFlat;
            case TranslationKind.PushSelector:
                return _mode.Kind != 0 && instruction.StackPointerIncrement == -StackSize && IsStackFlat;
            case TranslationKind.SwapGs:
                return _mode.IsKernel && _mode.IsLong;
            case TranslationKind.ReadBase or TranslationKind.WriteBase:
                return _mode.IsLong;
            case TranslationKind.SetAccess or TranslationKind.ClearAccess:
                return _mode.IsKernel;
            case TranslationKind.ReadControl:
                return _mode.IsKernel && _mode.Kind != 0 && ControlOffset(instruction.Op1Register) != 0;
            case TranslationKind.ReadSelector:
                return _mode.Kind != 0;
            case TranslationKind.BitString:
                return _mode.Kind != 0 && instruction.Op1Register.GetSize() >= 4 && IsNaturalAddress(instruction);
            case TranslationKind.String:
                return IsStringInPlace(instruction);
            default:
                return true;
        }
    }

    private bool IsStackFlat => _mode.IsLong || (_mode.StackKind == 1 && _mode.IsFlat(SegmentIndex.Ss));

    /// <summary>Is the address of the natural size, in a segment without base and limit?</summary>
    private bool IsNaturalAddress(in Instruction instruction)
    {
        if (_mode.IsLong) return !instruction.MemoryBase.IsGPR32() && !instruction.MemoryIndex.IsGPR32() && instruction.MemoryBase != Register.EIP;
        return !instruction.MemoryBase.IsGPR16() && !instruction.MemoryIndex.IsGPR16() && instruction.MemoryDisplSize != 2
            && _mode.IsFlat(SegmentOf(instruction.MemorySegment));
    }

    private static SegmentIndex SegmentOf(Register segment) => (SegmentIndex)(segment - Register.ES);

    /// <summary>Can an instruction be executed twice from the same state, which is put back in between?</summary>
    private static bool IsComparable(in Instruction instruction, TranslationKind kind) => kind switch
    {
        // Iced does not say how far a bit string reaches, or how much a repetition writes.
        TranslationKind.BitString => instruction.Mnemonic == Mnemonic.Bt,
        TranslationKind.String => !instruction.HasRepPrefix && !instruction.HasRepnePrefix,
        _ => true,
    };

    /// <summary>Does the instruction switch to another mode, so that its unit ends with it?</summary>
    private bool SwitchesMode(in Instruction instruction) => instruction.Mnemonic switch
    {
        Mnemonic.Stac => _mode.IsKernel && !_mode.IsAccess,
        Mnemonic.Clac => _mode.IsKernel && _mode.IsAccess,
        _ => false,
    };

    /// <summary>Emits a sensitive instruction in place. True: it has left the unit.</summary>
    private bool EmitInPlace(ref Instruction instruction, TranslationKind kind)
    {
        switch (kind)
        {
            case TranslationKind.LoadMxcsr:
                EmitLoadMxcsr(instruction);
                return false;
            case TranslationKind.PushFlags:
                EmitPushFlags();
                return false;
            case TranslationKind.PopFlags:
                EmitPopFlags();
                return false;
            case TranslationKind.SwapGs:
                _main.Write(SensitiveCode.SwapGs);
                return false;
            case TranslationKind.ReadBase:
                EmitReadBase(instruction);
                return false;
            case TranslationKind.WriteBase:
                EmitWriteBase(instruction);
                return false;
            case TranslationKind.SetAccess or TranslationKind.ClearAccess:
                return EmitAccessFlag(instruction, kind == TranslationKind.SetAccess);
            case TranslationKind.SetDirection or TranslationKind.ClearDirection:
                NeedSaved();
                _main.Write(kind == TranslationKind.SetDirection ? SensitiveCode.SetDirection : SensitiveCode.ClearDirection);
                _flags = FlagsAt.Saved;
                return false;
            case TranslationKind.ReadControl:
                LoadState(Register.R14, ControlOffset(instruction.Op1Register));
                WriteRegister(instruction.Op0Register, Register.R14);
                return false;
            case TranslationKind.ReadSelector:
                EmitReadSelector(instruction);
                return false;
            case TranslationKind.PushSelector:
                EmitPushSelector(instruction);
                return false;
            case TranslationKind.HighByte:
                EmitHighByte(instruction);
                return false;
            case TranslationKind.BitString:
                EmitBitString(ref instruction);
                return false;
            default:
                EmitString(instruction);
                return false;
        }
    }

    private static int ControlOffset(Register register) => register switch
    {
        Register.CR0 => StateOffsets.Cr0,
        Register.CR2 => StateOffsets.Cr2,
        Register.CR3 => StateOffsets.Cr3,
        Register.CR4 => StateOffsets.Cr4,
        _ => 0,
    };

    /// <summary>Makes a guest register of 16, 32 or 64 bits the low part of a scratch register.</summary>
    private void WriteRegister(Register guest, Register scratch)
    {
        int number = guest.GetFullRegister() - Register.RAX;
        int size = guest.GetSize();
        if (!IsResident(number))
        {
            Code move = size switch { 2 => Code.Mov_r16_rm16, 4 => Code.Mov_r32_rm32, _ => Code.Mov_r64_rm64 };
            Encode(Instruction.Create(move, Part(Renamed(number), size), Part(scratch, size)));
            return;
        }

        if (size == 2)
        {
            Encode(Instruction.Create(Code.Mov_rm16_r16, GsOperand(StateOffsets.Gpr(number)), Part(scratch, 2)));
            return;
        }

        if (size == 4) Encode(Instruction.Create(Code.Mov_r32_rm32, Part(scratch, 4), Part(scratch, 4)));
        StoreState(StateOffsets.Gpr(number), scratch);
    }

    /// <summary>In these modes the host's MXCSR is the guest's; a value that unmasks an exception or sets a reserved bit calls out.</summary>
    private void EmitLoadMxcsr(in Instruction instruction)
    {
        NeedSaved();
        Register address = EmitAddress(instruction, sizeof(uint), write: false);
        EmitProbe(address, sizeof(uint), write: false);
        LoadOperand(Register.R14, address, sizeof(uint));
        _main.Write(SensitiveCode.CompareMxcsr);
        JumpSlow(_code.JumpIfNotEqual);
        _main.Write(SensitiveCode.LoadMxcsr);
        _flags = FlagsAt.Saved;
    }

    private void EmitPushFlags()
    {
        NeedSaved();
        Encode(Instruction.Create(_mode.IsLong ? Code.Lea_r64_m : Code.Lea_r32_m, _mode.IsLong ? Register.R15 : Register.R15D,
            new MemoryOperand(Register.R12, -(long)StackSize, 1)));
        EmitProbe(Register.R15, StackSize, write: true);
        Encode(Instruction.Create(Code.Lea_r64_m, Register.R15, new MemoryOperand(Register.R15, Register.R13)));
        _main.Write(SensitiveCode.ComposeFlags);
        Encode(_mode.IsLong
            ? Instruction.Create(Code.Mov_rm64_r64, new MemoryOperand(Register.R15), Register.R14)
            : Instruction.Create(Code.Mov_rm32_r32, new MemoryOperand(Register.R15), Register.R14D));
        AddToStackPointer(-StackSize);
        _flags = FlagsAt.Saved;
    }

    private void EmitPopFlags()
    {
        NeedSaved();
        Register address = StackTop();
        EmitProbe(address, StackSize, write: false);
        LoadOperand(Register.R15, address, StackSize);
        _main.Write(_mode.IsUser ? SensitiveCode.CompareUserFlags : SensitiveCode.CompareFlags);
        JumpSlow(_code.JumpIfNotEqual);
        if (_mode.IsUser)
        {
            _main.Write(SensitiveCode.TakeDirection);
        }
        else
        {
            _main.Write(SensitiveCode.CompareEvents);
            JumpSlow(_code.JumpIfNotEqual);
            _main.Write(SensitiveCode.StoreEventMask);
            _main.Write(SensitiveCode.TakeSystemFlags);
        }

        _main.Write(SensitiveCode.TakeStatusFlags);
        AddToStackPointer(StackSize);
        _flags = FlagsAt.Saved;
    }

    private static SegmentIndex BaseSegment(in Instruction instruction) =>
        instruction.Mnemonic is Mnemonic.Rdfsbase or Mnemonic.Wrfsbase ? SegmentIndex.Fs : SegmentIndex.Gs;

    private void EmitReadBase(in Instruction instruction)
    {
        NeedSaved();
        _main.Write(SensitiveCode.TestBaseInstructions);
        JumpSlow(SensitiveCode.JumpIfEqual);
        LoadState(Register.R14, StateOffsets.SegmentBase(BaseSegment(instruction)));
        WriteRegister(instruction.Op0Register, Register.R14);
        _flags = FlagsAt.Saved;
    }

    private void EmitWriteBase(in Instruction instruction)
    {
        NeedSaved();
        _main.Write(SensitiveCode.TestBaseInstructions);
        JumpSlow(SensitiveCode.JumpIfEqual);
        Register source = HostRegister(instruction.Op0Register, Register.R14);
        if (instruction.Op0Register.IsGPR32())
        {
            Encode(Instruction.Create(Code.Mov_r32_rm32, Register.R14D, Part(source, 4)));
        }
        else
        {
            if (source != Register.R14) Move(Register.R14, source);
            _main.Write(_code.CheckCanonical);
            JumpSlow(_code.JumpIfNotEqual);
        }

        StoreState(StateOffsets.SegmentBase(BaseSegment(instruction)), Register.R14);
        _flags = FlagsAt.Saved;
    }

    /// <summary>
    /// STAC and CLAC select another TLB table and with it another mode. Nothing else differs, so translated code goes over to the fragment
    /// of the other mode by itself; the monitor learns of it when that leaves.
    /// </summary>
    private bool EmitAccessFlag(in Instruction instruction, bool set)
    {
        if (set == _mode.IsAccess) return false;
        NeedSaved();
        TranslationMode mode = _mode.WithAccess(set);
        _main.Write(set ? SensitiveCode.SetAccess : SensitiveCode.ClearAccess);
        WriteImmediate(_main, Register.R14, (ulong)_s + (uint)StateOffsets.TlbTable(mode.Table));
        StoreState(StateOffsets.CurrentTlb, Register.R14);
        WriteImmediate(_main, Register.R14, (ulong)_cache.JumpTable(mode));
        StoreState(StateOffsets.JumpTable, Register.R14);
        _main.Write(SensitiveCode.SetMode, (int)mode.Bits);
        _flags = FlagsAt.Saved;
        EmitLink(instruction.NextIP);
        return true;
    }

    private void EmitReadSelector(in Instruction instruction)
    {
        int selector = StateOffsets.Selector(SegmentOf(instruction.Op1Register));
        if (instruction.Op0Kind == OpKind.Register)
        {
            Encode(Instruction.Create(Code.Movzx_r32_rm16, Register.R14D, GsOperand(selector)));
            WriteRegister(instruction.Op0Register, Register.R14);
            return;
        }

        NeedSaved();
        Register address = EmitAddress(instruction, sizeof(ushort), write: true);
        EmitProbe(address, sizeof(ushort), write: true);
        Encode(Instruction.Create(Code.Movzx_r32_rm16, Register.R14D, GsOperand(selector)));
        Encode(Instruction.Create(Code.Mov_rm16_r16, new MemoryOperand(address, Register.R13), Register.R14W));
        _flags = FlagsAt.Saved;
    }

    private void EmitPushSelector(in Instruction instruction)
    {
        NeedSaved();
        Encode(Instruction.Create(_mode.IsLong ? Code.Lea_r64_m : Code.Lea_r32_m, _mode.IsLong ? Register.R15 : Register.R15D,
            new MemoryOperand(Register.R12, -(long)StackSize, 1)));
        EmitProbe(Register.R15, StackSize, write: true);
        Encode(Instruction.Create(Code.Movzx_r32_rm16, Register.R14D, GsOperand(StateOffsets.Selector(SegmentOf(instruction.Op0Register)))));
        StoreOperand(Register.R15, Register.R14, StackSize);
        Move(StackPointer, _mode.IsLong ? Register.R15 : Register.R15D);
        _flags = FlagsAt.Saved;
    }

    /// <summary>Has the instruction two operands, one in memory, the other AH, BH, CH or DH?</summary>
    private static bool IsHighByteWithMemory(in Instruction instruction)
    {
        if (instruction.OpCount != 2) return false;
        int register = instruction.Op0Kind == OpKind.Register ? 0 : 1;
        return instruction.GetOpKind(register) == OpKind.Register && instruction.GetOpKind(1 - register) == OpKind.Memory
            && instruction.GetOpRegister(register) is >= Register.AH and <= Register.BH;
    }

    /// <summary>
    /// AH, BH, CH and DH cannot be named together with a REX prefix, which every checked memory operand needs: the byte goes to R14 and back
    /// by way of the state.
    /// </summary>
    private void EmitHighByte(in Instruction instruction)
    {
        int register = instruction.Op0Kind == OpKind.Register ? 0 : 1;
        Register high = instruction.GetOpRegister(register);
        InstructionInfo info = _info.GetInfo(instruction, InstructionInfoOptions.NoMemoryUsage | InstructionInfoOptions.NoRegisterUsage);
        bool consumes = NeedsFlags(instruction);
        bool writes = info.GetOpAccess(1 - register) is not OpAccess.Read || instruction.Mnemonic == Mnemonic.Xchg;
        NeedSaved();
        Register address = EmitAddress(instruction, sizeof(byte), writes);
        EmitProbe(address, sizeof(byte), writes);
        Encode(Instruction.Create(Code.Lea_r64_m, Register.R15, new MemoryOperand(address, Register.R13)));
        _flags = FlagsAt.Saved;
        if (consumes) NeedHost();
        MemoryOperand scratch = GsOperand(StateOffsets.Scratch);
        Encode(Instruction.Create(Code.Mov_rm8_r8, scratch, high));
        Encode(Instruction.Create(Code.Movzx_r32_rm8, Register.R14D, scratch));
        Instruction host = instruction;
        host.SegmentPrefix = Register.None;
        host.SetOpRegister(register, Register.R14L);
        host.MemoryBase = Register.R15;
        host.MemoryIndex = Register.None;
        host.MemoryIndexScale = 1;
        host.MemoryDisplacement64 = 0;
        host.MemoryDisplSize = 0;
        Encode(host);
        if (info.GetOpAccess(register) is not OpAccess.Read)
        {
            Encode(Instruction.Create(Code.Mov_rm8_r8, scratch, Register.R14L));
            Encode(Instruction.Create(Code.Mov_r8_rm8, high, scratch));
        }

        AfterFlags(instruction);
    }

    /// <summary>BT, BTS, BTR and BTC with a bit offset in a register: the operand that holds the bit is found first, then the host's own instruction changes it.</summary>
    private void EmitBitString(ref Instruction instruction)
    {
        int size = instruction.Op1Register.GetSize();
        bool write = instruction.Mnemonic != Mnemonic.Bt;
        NeedSaved();
        Register address = EmitAddress(instruction, size, write);
        Register offset = HostRegister(instruction.Op1Register, Register.R14);
        if (size == 4) Encode(Instruction.Create(Code.Movsxd_r64_rm32, Register.R14, Part(offset, 4)));
        else if (offset != Register.R14) Move(Register.R14, offset);
        Encode(Instruction.Create(Code.Sar_rm64_imm8, Register.R14, size == 4 ? 5 : 6));
        Encode(Instruction.Create(
            _mode.IsLong ? Code.Lea_r64_m : Code.Lea_r32_m,
            _mode.IsLong ? Register.R15 : Register.R15D,
            new MemoryOperand(address, Register.R14, size)));
        EmitProbe(Register.R15, size, write);
        Encode(Instruction.Create(Code.Lea_r64_m, Register.R15, new MemoryOperand(Register.R15, Register.R13)));
        offset = HostRegister(instruction.Op1Register, Register.R13);
        if (offset != Register.R13) Encode(Instruction.Create(Code.Mov_r32_rm32, Register.R13D, Part(offset, 4)));
        Encode(Instruction.Create(Code.And_rm32_imm8, Register.R13D, (size * 8) - 1));
        _flags = FlagsAt.Saved;

        // All status flags but CF stay as they are.
        NeedHost();
        Instruction host = Instruction.Create(instruction.Code, new MemoryOperand(Register.R15), Part(Register.R13, size));
        host.HasLockPrefix = instruction.HasLockPrefix;
        Encode(host);
        _flags = FlagsAt.Host;
    }
}
