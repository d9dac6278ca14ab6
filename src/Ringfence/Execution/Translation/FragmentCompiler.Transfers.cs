using Iced.Intel;
using Ringfence.Execution.Translation.Listing;
using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Execution.Translation;

/// <summary>Transfers of control and the stack.</summary>
internal sealed unsafe partial class FragmentCompiler
{
    private int StackSize => _mode.IsLong ? 8 : 4;

    private Register StackPointer => _mode.IsLong ? Register.R12 : Register.R12D;

    /// <summary>Stack, operand and code have the same size, and the stack segment is flat.</summary>
    private bool IsNaturalStack(in Instruction instruction, TranslationKind kind)
    {
        if (!_mode.IsFlatCode || _mode.Kind == 0) return false;
        bool usesStack = kind != TranslationKind.JumpIndirect;
        if (usesStack && !_mode.IsLong && (_mode.StackKind != 1 || !_mode.IsFlat(SegmentIndex.Ss))) return false;
        switch (kind)
        {
            case TranslationKind.Push:
                return instruction.StackPointerIncrement == -StackSize;
            case TranslationKind.Pop:
                return instruction.StackPointerIncrement == StackSize && instruction.Op0Kind == OpKind.Register;
            case TranslationKind.Leave:
                return instruction.Code == (_mode.IsLong ? Code.Leaveq : Code.Leaved);
            case TranslationKind.Return:
                return instruction.Code is Code.Retnq or Code.Retnq_imm16 or Code.Retnd or Code.Retnd_imm16
                    && instruction.Code is Code.Retnq or Code.Retnq_imm16 == _mode.IsLong;
            case TranslationKind.Call:
                return instruction.StackPointerIncrement == -StackSize && IsDirectTargetValid(instruction);
            case TranslationKind.CallIndirect:
                return instruction.Code == (_mode.IsLong ? Code.Call_rm64 : Code.Call_rm32);
            default:
                return instruction.Code == (_mode.IsLong ? Code.Jmp_rm64 : Code.Jmp_rm32);
        }
    }

    /// <summary>Is the target canonical, inside the code segment, and does no 16-bit operand cut it?</summary>
    private bool IsDirectTargetValid(in Instruction instruction)
    {
        ulong target = instruction.NearBranchTarget;
        if (instruction.Op0Kind == OpKind.NearBranch16 && _mode.Kind != 0) return false;
        if (_mode.IsLong) return Mmu.IsCanonical(target);
        return _mode.IsFlatCode || target <= _s->Segment(SegmentIndex.Cs).Limit;
    }

    /// <summary>Does an instruction pointer lie in the page of the unit?</summary>
    private bool IsInPage(ulong rip)
    {
        ulong start = _rip - (ulong)_pageOffset;
        return rip - start < 4096;
    }

    /// <summary>A jump that is chained to its target when that is known.</summary>
    private void EmitLink(ulong target)
    {
        if (!IsInPage(target))
        {
            EmitFarLink(_main, target);
            return;
        }

        int site = NewLink(target);
        int stub = EmitLinkStub(site);
        _cache.Sites[site].HostOffset = _main.WriteBranch(_code.Jump, stub);
    }

    /// <summary>As <see cref="EmitLink"/>, for the way on behind the unit: remembered, so that the next unit can be laid in its place.</summary>
    private void EmitFallThrough(ulong target)
    {
        int start = _main.Offset;
        EmitLink(target);
        Mark(HostCodeLabel.Link, start, _main);
        if (!LaysTails || !IsInPage(target) || _flags == FlagsAt.Saved) return;
        int site = _lastLink;
        _tail = new Tail { Site = site, End = _main.Offset, Rip = target, Page = _pageIndex };
    }

    /// <summary>If the unit continues where the last one ends in the code, the jump between them disappears. Returns the jump's site, or 0.</summary>
    private int TakeTail(CodePage page, ulong rip)
    {
        Tail tail = _tail;
        _tail = default;
        _pageIndex = page.Index;
        bool fits = tail.Site != 0 && tail.End == _main.Offset && tail.Page == page.Index && tail.Rip == rip
            && !_cache.Sites[tail.Site].IsLinked && _cache.Fragments[_cache.Sites[tail.Site].Fragment].IsAlive;
        if (!fits) return 0;
        _main.Rewind(tail.End - _code.Jump.Length);
        _cache.Fragments[_cache.Sites[tail.Site].Fragment].End = _main.Offset;
        return tail.Site;
    }

    private int NewLink(ulong target)
    {
        int site = NewSite(SiteKind.Link);
        Site* s = _cache.Sites + site;
        s->Distance = (int)((long)target - (long)_rip);
        s->FlagsSaved = _flags != FlagsAt.Host;
        s->FlagsInHost = _flags != FlagsAt.Saved;
        _lastLink = site;
        return site;
    }

    private int EmitLinkStub(int site)
    {
        int stub = _rare.Offset;
        _rare.Write(_code.PushSite, site);
        _rare.WriteBranch(_code.Jump, _flags == FlagsAt.Host ? _exits.ExitHost : _exits.ExitSaved);
        _cache.Sites[site].Continuation = stub;
        Mark(HostCodeLabel.Link, stub, _rare);
        return stub;
    }

    /// <summary>A direct transfer to another page: through the jump table, whose targets check that the page is still mapped.</summary>
    private void EmitFarLink(CodeStream stream, ulong target)
    {
        if (_flags == FlagsAt.Host) WriteMarked(stream, HostCodeLabel.Flags, _code.SaveFlags);
        if (_mode.IsFlatCode)
        {
            WriteImmediate(stream, Register.R15, target);
            stream.Write(_code.LookUpConstant, (ushort)target * sizeof(ulong));
            return;
        }

        // Jump tables know linear addresses only; with a base the monitor looks the target up.
        int site = NewSite(SiteKind.Link);
        _cache.Sites[site].Distance = (int)((long)target - (long)_rip);
        _cache.Sites[site].FlagsSaved = true;
        stream.Write(_code.PushSite, site);
        stream.WriteBranch(_code.Jump, _exits.ExitSaved);
    }

    private void EmitConditionalJump(in Instruction instruction)
    {
        NeedHost();
        ulong target = instruction.NearBranchTarget;
        byte[] jump = [0x0f, (byte)(0x80 | ConditionNumber(instruction.ConditionCode)), 0, 0, 0, 0];
        if (IsInPage(target))
        {
            int site = NewLink(target);
            int stub = EmitLinkStub(site);
            _cache.Sites[site].HostOffset = _main.WriteBranch(jump, stub);
        }
        else
        {
            int stub = _rare.Offset;
            _main.WriteBranch(jump, stub);
            EmitFarLink(_rare, target);
            Mark(HostCodeLabel.Link, stub, _rare);
        }

        EmitFallThrough(instruction.NextIP);
    }

    private void EmitCounterJump(in Instruction instruction)
    {
        NeedHost();
        bool isLoop = instruction.Mnemonic == Mnemonic.Loop;
        bool wide = instruction.Mnemonic == Mnemonic.Jrcxz || instruction.Code is Code.Loop_rel8_64_RCX or Code.Loop_rel8_16_RCX;
        bool narrow = instruction.Mnemonic == Mnemonic.Jcxz || instruction.Code is Code.Loop_rel8_16_CX or Code.Loop_rel8_32_CX;
        if (isLoop)
        {
            Encode(Instruction.Create(
                wide ? Code.Lea_r64_m : narrow ? Code.Lea_r16_m : Code.Lea_r32_m,
                wide ? Register.RCX : narrow ? Register.CX : Register.ECX,
                new MemoryOperand(Register.RCX, -1L, 1)));
        }

        // No host instruction looks at CX alone without changing flags: RCX holds it alone until the jump is decided.
        if (narrow)
        {
            Move(Register.R15, Register.RCX);
            Encode(Instruction.Create(Code.Movzx_r32_rm16, Register.ECX, Register.CX));
        }

        // JRCXZ over one jump; both ways are jumps that can be chained.
        if (!wide) _main.WriteByte(0x67);
        int place = _main.Offset + 1;
        _main.Write([0xe3, 0]);
        if (narrow) Move(Register.RCX, Register.R15);
        EmitLink(isLoop ? instruction.NearBranchTarget : instruction.NextIP);
        int distance = _main.Offset - place - 1;
        _cache.SetByte(place, (byte)distance);
        if (distance > 127) throw new InvalidOperationException("The jump over a chained jump is too long.");
        if (narrow) Move(Register.RCX, Register.R15);
        if (isLoop) EmitFallThrough(instruction.NextIP);
        else EmitLink(instruction.NearBranchTarget);
    }

    private void EmitIndirect(int popped)
    {
        int site = NewSite(SiteKind.Indirect);
        _cache.Sites[site].Distance = popped;
        _main.Write(_code.SetIndirectSite, site);
        _main.Write(_code.LookUp);
    }

    private void EmitJumpIndirect(in Instruction instruction)
    {
        NeedSaved();
        if (instruction.Op0Kind == OpKind.Register)
        {
            ReadRegister(Register.R15, instruction.Op0Register);
        }
        else
        {
            Register address = EmitAddress(instruction, StackSize, write: false);
            EmitProbe(address, StackSize, write: false);
            LoadOperand(Register.R15, address, StackSize);
        }

        EmitIndirect(0);
    }

    private void EmitCall(in Instruction instruction)
    {
        NeedSaved();
        EmitPushReturn(instruction.NextIP);
        _flags = FlagsAt.Saved;
        EmitLink(instruction.NearBranchTarget);
    }

    private void EmitCallIndirect(in Instruction instruction)
    {
        NeedSaved();
        if (instruction.Op0Kind == OpKind.Register)
        {
            ReadRegister(Register.R14, instruction.Op0Register);
        }
        else
        {
            Register address = EmitAddress(instruction, StackSize, write: false);
            EmitProbe(address, StackSize, write: false);
            LoadOperand(Register.R14, address, StackSize);
        }

        _flags = FlagsAt.Saved;
        if (_mode.IsLong)
        {
            _main.Write(_code.CheckCanonical);
            JumpSlow(_code.JumpIfNotEqual);
        }

        _main.Write(_code.StoreTarget);
        EmitPushReturn(instruction.NextIP);
        _main.Write(_code.LoadTarget);
        EmitIndirect(0);
    }

    private void EmitPushReturn(ulong next)
    {
        Encode(Instruction.Create(_mode.IsLong ? Code.Lea_r64_m : Code.Lea_r32_m, _mode.IsLong ? Register.R15 : Register.R15D,
            new MemoryOperand(Register.R12, -(long)StackSize, 1)));
        EmitProbe(Register.R15, StackSize, write: true);
        WriteImmediate(_main, Register.R14, next);
        StoreOperand(Register.R15, Register.R14, StackSize);
        Move(StackPointer, _mode.IsLong ? Register.R15 : Register.R15D);
    }

    private void EmitReturn(in Instruction instruction)
    {
        NeedSaved();
        Register address = StackTop();
        EmitProbe(address, StackSize, write: false);
        LoadOperand(Register.R15, address, StackSize);
        int popped = StackSize + (instruction.OpCount == 0 ? 0 : instruction.Immediate16);
        AddToStackPointer(popped);
        _flags = FlagsAt.Saved;
        EmitIndirect(popped);
    }

    private void EmitPush(in Instruction instruction)
    {
        NeedSaved();
        Register value = Register.R14;
        bool load = false;
        if (instruction.Op0Kind == OpKind.Memory)
        {
            Register source = EmitAddress(instruction, StackSize, write: false);
            EmitProbe(source, StackSize, write: false);
            LoadOperand(Register.R14, source, StackSize);
            _main.Write(_code.StoreTransfer);
            load = true;
        }

        Encode(Instruction.Create(_mode.IsLong ? Code.Lea_r64_m : Code.Lea_r32_m, _mode.IsLong ? Register.R15 : Register.R15D,
            new MemoryOperand(Register.R12, -(long)StackSize, 1)));
        EmitProbe(Register.R15, StackSize, write: true);
        if (load)
        {
            _main.Write(_code.LoadTransfer);
        }
        else if (instruction.Op0Kind == OpKind.Register)
        {
            value = HostRegister(instruction.Op0Register.GetFullRegister(), Register.R14);
        }
        else
        {
            WriteImmediate(_main, Register.R14, instruction.GetImmediate(0));
        }

        StoreOperand(Register.R15, value, StackSize);
        Move(StackPointer, _mode.IsLong ? Register.R15 : Register.R15D);
        _flags = FlagsAt.Saved;
    }

    private void EmitPop(in Instruction instruction)
    {
        NeedSaved();
        Register address = StackTop();
        EmitProbe(address, StackSize, write: false);
        int number = instruction.Op0Register.GetFullRegister() - Register.RAX;
        if (IsResident(number))
        {
            LoadOperand(Register.R14, address, StackSize);
            StoreState(StateOffsets.Gpr(number), Register.R14);
        }
        else
        {
            LoadOperand(Renamed(number), address, StackSize);
        }

        if (number != 4) AddToStackPointer(StackSize);
        _flags = FlagsAt.Saved;
    }

    private void EmitLeave()
    {
        NeedSaved();
        Register address = Register.RBP;
        if (!_mode.IsLong)
        {
            Encode(Instruction.Create(Code.Lea_r32_m, Register.R15D, new MemoryOperand(Register.RBP)));
            address = Register.R15;
        }

        EmitProbe(address, StackSize, write: false);
        LoadOperand(Register.R14, address, StackSize);
        Encode(Instruction.Create(_mode.IsLong ? Code.Lea_r64_m : Code.Lea_r32_m, StackPointer, new MemoryOperand(Register.RBP, (long)StackSize, 1)));
        Move(Register.RBP, Register.R14);
        _flags = FlagsAt.Saved;
    }

    /// <summary>A register that holds the linear address of the top of the stack.</summary>
    private Register StackTop()
    {
        if (_mode.IsLong) return Register.R12;
        Encode(Instruction.Create(Code.Lea_r32_m, Register.R15D, new MemoryOperand(Register.R12)));
        return Register.R15;
    }

    private void AddToStackPointer(int bytes) =>
        Encode(Instruction.Create(_mode.IsLong ? Code.Lea_r64_m : Code.Lea_r32_m, StackPointer, new MemoryOperand(Register.R12, (long)bytes, 8)));

    private void LoadOperand(Register target, Register address, int size) =>
        Encode(size == 8
            ? Instruction.Create(Code.Mov_r64_rm64, target, new MemoryOperand(address, Register.R13))
            : Instruction.Create(Code.Mov_r32_rm32, target - Register.RAX + Register.EAX, new MemoryOperand(address, Register.R13)));

    private void StoreOperand(Register address, Register source, int size) =>
        Encode(size == 8
            ? Instruction.Create(Code.Mov_rm64_r64, new MemoryOperand(address, Register.R13), source)
            : Instruction.Create(Code.Mov_rm32_r32, new MemoryOperand(address, Register.R13), source - Register.RAX + Register.EAX));

    private void Move(Register target, Register source) =>
        Encode(Instruction.Create(target.IsGPR64() ? Code.Mov_r64_rm64 : Code.Mov_r32_rm32, target, source));

    /// <summary>The condition's number in the encodings of Jcc, SETcc and CMOVcc.</summary>
    private static int ConditionNumber(ConditionCode condition) => condition switch
    {
        ConditionCode.o => 0,
        ConditionCode.no => 1,
        ConditionCode.b => 2,
        ConditionCode.ae => 3,
        ConditionCode.e => 4,
        ConditionCode.ne => 5,
        ConditionCode.be => 6,
        ConditionCode.a => 7,
        ConditionCode.s => 8,
        ConditionCode.ns => 9,
        ConditionCode.p => 10,
        ConditionCode.np => 11,
        ConditionCode.l => 12,
        ConditionCode.ge => 13,
        ConditionCode.le => 14,
        _ => 15,
    };
}
