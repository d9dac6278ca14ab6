using Iced.Intel;
using Ringfence.Processors;

namespace Ringfence.Execution.Translation;

/// <summary>Register operands, which are renamed, and memory operands, which are checked.</summary>
internal sealed unsafe partial class FragmentCompiler
{
    private readonly int[] _residents = new int[3];
    private readonly Register[] _scratch = [Register.R14, Register.R13, Register.R15];
    private int _residentCount;
    private int _lastLink;
    private int _pageIndex;

    /// <summary>R12 to R15 of the guest stay in the state, except where a trace has promoted them.</summary>
    private bool IsResident(int number) => number >= 12 && _promoted[number] == Register.None;

    /// <summary>The host's 64-bit register that holds guest register <paramref name="number"/>.</summary>
    private Register Renamed(int number) =>
        _promoted[number] != Register.None ? _promoted[number] : number == 4 ? Register.R12 : Register.RAX + number;

    /// <summary>The part of a 64-bit register that has a size in bytes.</summary>
    private static Register Part(Register full, int size)
    {
        int number = full - Register.RAX;
        return size switch
        {
            8 => full,
            4 => Register.EAX + number,
            2 => Register.AX + number,
            _ => number < 4 ? Register.AL + number : Register.SPL + (number - 4),
        };
    }

    /// <summary>AH, CH, DH and BH cannot be named together with a REX prefix, which every checked memory operand and renamed register needs.</summary>
    private bool UsesUnencodableByte(in Instruction instruction)
    {
        bool high = false;
        bool rex = false;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) == OpKind.Memory) rex = true;
            if (instruction.GetOpKind(i) != OpKind.Register) continue;
            Register register = instruction.GetOpRegister(i);
            if (register is >= Register.AH and <= Register.BH) high = true;
            else if (register.IsGPR() && register.GetFullRegister() == Register.RSP) rex = true;
        }

        return high && rex;
    }

    /// <summary>BT and its relatives with a register offset reach beyond their memory operand.</summary>
    private static bool IsBitString(in Instruction instruction) =>
        instruction.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc
        && instruction.Op0Kind == OpKind.Memory && instruction.Op1Kind == OpKind.Register;

    /// <summary>Emits an instruction as itself: registers renamed, memory operand checked and re-encoded.</summary>
    private void EmitGeneral(ref Instruction instruction, bool mayFault)
    {
        int memory = -1;
        for (int i = 0; i < instruction.OpCount; i++)
            if (instruction.GetOpKind(i) == OpKind.Memory) memory = i;
        bool consumes = NeedsFlags(instruction);
        _residentCount = 0;
        if (memory < 0 && !mayFault && IsSameOnHost(instruction))
        {
            if (consumes) NeedHost();
            _main.Write(new ReadOnlySpan<byte>(_guest + _guestOffset, instruction.Length));
            AfterFlags(instruction);
            return;
        }

        InstructionInfo info = _info.GetInfo(instruction, InstructionInfoOptions.NoMemoryUsage | InstructionInfoOptions.NoRegisterUsage);
        Instruction host = instruction;
        host.Code = HostForm(host.Code);
        host.SegmentPrefix = Register.None;
        host.HasRepPrefix = false;
        host.HasRepnePrefix = false;
        Register address = Register.None;
        int size = 0;
        if (memory >= 0)
        {
            WithoutDirectOffset(ref host, ref memory);
            bool write = info.GetOpAccess(memory) is OpAccess.Write or OpAccess.ReadWrite or OpAccess.CondWrite or OpAccess.ReadCondWrite;
            if (host.Mnemonic == Mnemonic.Xchg) write = true;
            size = instruction.MemorySize.GetSize();
            NeedSaved();
            address = EmitAddress(instruction, size, write);
            EmitProbe(address, size, write);
            _flags = FlagsAt.Saved;
        }
        else if (mayFault)
        {
            NeedSaved();
        }

        if (consumes) NeedHost();
        RenameRegisters(ref host, info, memory, ref address);
        if (memory >= 0)
        {
            host.MemoryBase = address;
            host.MemoryIndex = _combined ? Register.None : Register.R13;
            host.MemoryIndexScale = 1;
            host.MemoryDisplacement64 = 0;
            host.MemoryDisplSize = 0;
        }

        int place = _main.Offset;
        int site = 0;
        if (mayFault || size == 16)
        {
            // Division by zero, or an XMM operand that must be aligned: the host's own check is the guest's.
            site = NewSite(SiteKind.Memory);
            _cache.Sites[site].HostOffset = place;
            _cache.AddFaultSite(place, site);
        }

        Encode(host);
        StoreResidents(info);
        EmitPointers(site, address, 0);
        // Without a memory operand only an exception leads to the site, and nothing goes on here.
        if (site != 0 && memory >= 0) _cache.Sites[site].Continuation = _main.Offset;
        AfterFlags(instruction);
    }

    /// <summary>MOV between the accumulator and a constant address has no base that could be replaced.</summary>
    private static void WithoutDirectOffset(ref Instruction host, ref int memory)
    {
        Code code = host.Code switch
        {
            Code.Mov_AL_moffs8 => Code.Mov_r8_rm8,
            Code.Mov_AX_moffs16 => Code.Mov_r16_rm16,
            Code.Mov_EAX_moffs32 => Code.Mov_r32_rm32,
            Code.Mov_RAX_moffs64 => Code.Mov_r64_rm64,
            Code.Mov_moffs8_AL => Code.Mov_rm8_r8,
            Code.Mov_moffs16_AX => Code.Mov_rm16_r16,
            Code.Mov_moffs32_EAX => Code.Mov_rm32_r32,
            Code.Mov_moffs64_RAX => Code.Mov_rm64_r64,
            _ => Code.INVALID,
        };
        if (code != Code.INVALID) host.Code = code;
    }

    /// <summary>In 64-bit code the one-byte forms of INC and DEC are prefixes, and opcode 82 does not exist (Intel SDM 2D A.3).</summary>
    private static Code HostForm(Code code) => code switch
    {
        Code.Inc_r16 => Code.Inc_rm16,
        Code.Inc_r32 => Code.Inc_rm32,
        Code.Dec_r16 => Code.Dec_rm16,
        Code.Dec_r32 => Code.Dec_rm32,
        Code.Add_rm8_imm8_82 => Code.Add_rm8_imm8,
        Code.Or_rm8_imm8_82 => Code.Or_rm8_imm8,
        Code.Adc_rm8_imm8_82 => Code.Adc_rm8_imm8,
        Code.Sbb_rm8_imm8_82 => Code.Sbb_rm8_imm8,
        Code.And_rm8_imm8_82 => Code.And_rm8_imm8,
        Code.Sub_rm8_imm8_82 => Code.Sub_rm8_imm8,
        Code.Xor_rm8_imm8_82 => Code.Xor_rm8_imm8,
        Code.Cmp_rm8_imm8_82 => Code.Cmp_rm8_imm8,
        _ => code,
    };

    /// <summary>Do the guest's bytes mean the same as host code?</summary>
    private bool IsSameOnHost(in Instruction instruction)
    {
        if (_mode.Kind == 0 || instruction.HasRepPrefix || instruction.HasRepnePrefix || instruction.SegmentPrefix != Register.None) return false;
        if (_mode.Kind == 1 && HostForm(instruction.Code) != instruction.Code) return false;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) != OpKind.Register) continue;
            Register register = instruction.GetOpRegister(i);
            if (!register.IsGPR()) continue;
            int number = register.GetFullRegister() - Register.RAX;
            if (number == 4 && register is not (>= Register.AH and <= Register.BH)) return false;
            if (number >= 12) return false;
        }

        return true;
    }

    private void AfterFlags(in Instruction instruction)
    {
        if ((instruction.RflagsModified & Status) != 0) _flags = FlagsAt.Host;
    }

    /// <summary>Renames register operands; those that stay in the state are loaded to scratch registers.</summary>
    private void RenameRegisters(ref Instruction host, InstructionInfo info, int memory, ref Register address)
    {
        _residentCount = 0;
        _combined = false;
        for (int i = 0; i < host.OpCount; i++)
        {
            if (host.GetOpKind(i) != OpKind.Register) continue;
            Register register = host.GetOpRegister(i);
            if (!register.IsGPR() || register is >= Register.AH and <= Register.BH) continue;
            int number = register.GetFullRegister() - Register.RAX;
            int size = register.GetSize();
            if (!IsResident(number))
            {
                Register renamed = Renamed(number);
                if (renamed != Register.RAX + number) host.SetOpRegister(i, Part(renamed, size));
                continue;
            }

            int known = Array.IndexOf(_residents, number, 0, _residentCount);
            Register scratch = Scratch(known < 0 ? _residentCount : known);
            if (known < 0)
            {
                if (memory >= 0 && _residentCount == 1)
                {
                    // The second scratch register holds half of the address: make it one.
                    Encode(Instruction.Create(Code.Lea_r64_m, Register.R15, new MemoryOperand(address, Register.R13)));
                    address = Register.R15;
                    _combined = true;
                }

                _residents[_residentCount++] = number;
                if (IsRead(info, number)) LoadState(scratch, StateOffsets.Gpr(number));
            }

            host.SetOpRegister(i, Part(scratch, size));
        }
    }

    /// <summary>Is a general register of the current instruction read, or only written in part?</summary>
    private bool IsRead(InstructionInfo info, int number)
    {
        ref Instruction instruction = ref _unit[_index];
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) != OpKind.Register) continue;
            Register register = instruction.GetOpRegister(i);
            if (!register.IsGPR() || register.GetFullRegister() - Register.RAX != number) continue;
            if (info.GetOpAccess(i) != OpAccess.Write || register.GetSize() < 4) return true;
        }

        return false;
    }

    private Register Scratch(int index) => _scratch[index];

    /// <summary>Writes loaded registers back that the instruction may have changed.</summary>
    private void StoreResidents(InstructionInfo info)
    {
        for (int k = 0; k < _residentCount; k++)
        {
            bool written = false;
            for (int i = 0; i < _unit[_index].OpCount; i++)
            {
                if (_unit[_index].GetOpKind(i) != OpKind.Register) continue;
                Register register = _unit[_index].GetOpRegister(i);
                if (!register.IsGPR() || register.GetFullRegister() - Register.RAX != _residents[k]) continue;
                written |= info.GetOpAccess(i) is not (OpAccess.Read or OpAccess.CondRead or OpAccess.None);
            }

            if (written) StoreState(StateOffsets.Gpr(_residents[k]), Scratch(k));
        }
    }

    private bool _combined;

    /// <summary>The host register with a guest register's value, loaded to <paramref name="scratch"/> if it stays in the state.</summary>
    private Register HostRegister(Register guest, Register scratch)
    {
        int number = guest.GetFullRegister() - Register.RAX;
        if (!IsResident(number)) return Renamed(number);
        LoadState(scratch, StateOffsets.Gpr(number));
        return scratch;
    }

    /// <summary>Copies a general register of the natural size to a scratch register.</summary>
    private void ReadRegister(Register target, Register guest)
    {
        int number = guest.GetFullRegister() - Register.RAX;
        if (IsResident(number)) LoadState(target, StateOffsets.Gpr(number));
        else if (_mode.IsLong) Move(target, Renamed(number));
        else Move(Part(target, 4), Part(Renamed(number), 4));
    }

    private void EmitAddressOf(ref Instruction instruction)
    {
        Register target = instruction.Op0Register;
        int number = target.GetFullRegister() - Register.RAX;
        int size = target.GetSize();
        Register result = IsResident(number) ? Register.R14 : Renamed(number);
        if (instruction.IsIPRelativeMemoryOperand)
        {
            ulong value = instruction.IPRelativeMemoryAddress;
            WriteImmediate(_main, result, size == 4 ? (uint)value : value);
        }
        else
        {
            bool narrow = instruction.MemoryBase.IsGPR32() || instruction.MemoryIndex.IsGPR32() || instruction.MemoryDisplSize == 4 && !_mode.IsLong;
            int resultSize = size == 8 && narrow ? 4 : size;
            if (IsResident(number) && size == 2) LoadState(Register.R14, StateOffsets.Gpr(number));
            MemoryOperand operand = PlainOperand(instruction, Register.R15, Register.R13);
            Code code = resultSize switch { 2 => Code.Lea_r16_m, 4 => Code.Lea_r32_m, _ => Code.Lea_r64_m };
            Encode(Instruction.Create(code, Part(result, resultSize), operand));
        }

        if (IsResident(number)) StoreState(StateOffsets.Gpr(number), Register.R14);
    }

    /// <summary>The address arithmetic of a memory operand over host registers, without segment; R15 and R13 may be loaded.</summary>
    private MemoryOperand PlainOperand(in Instruction instruction, Register forBase, Register forIndex)
    {
        Register @base = instruction.MemoryBase == Register.None ? Register.None : HostRegister(instruction.MemoryBase, forBase);
        Register index = instruction.MemoryIndex == Register.None ? Register.None : HostRegister(instruction.MemoryIndex, forIndex);
        bool wide = instruction.MemoryBase.IsGPR64() || instruction.MemoryIndex.IsGPR64();
        long displacement = wide ? (long)instruction.MemoryDisplacement64 : (int)instruction.MemoryDisplacement32;
        if (instruction.MemoryBase.IsGPR16() || instruction.MemoryIndex.IsGPR16()) displacement = (short)instruction.MemoryDisplacement32;
        int displacementSize = displacement == 0 && @base != Register.None ? 0
            : @base != Register.None && displacement is >= -128 and <= 127 ? 1 : 8;
        return new MemoryOperand(@base, index, instruction.MemoryIndexScale, displacement, displacementSize, false, Register.None);
    }

    /// <summary>
    /// Computes the linear address of a memory operand and checks the segment's limit where there is one. Returns the register that holds it:
    /// the guest's own where that is all, otherwise R15. Changes R13, R14 and, with a limit, the host's flags.
    /// </summary>
    private Register EmitAddress(in Instruction instruction, int size, bool write)
    {
        SegmentIndex segment = SegmentOf(instruction);
        bool based = IsBased(segment, write);
        Register offset = EmitOffset(instruction, mayBeGuests: !based);
        if (!based) return offset;
        if (!_mode.IsLong)
        {
            Encode(Instruction.Create(Code.Lea_r64_m, Register.R14, new MemoryOperand(Register.R15, (long)size, 1)));
            Encode(Instruction.Create(Code.Cmp_r64_rm64, Register.R14, GsOperand(StateOffsets.SegmentEnd(segment, write))));
            JumpSlow(_code.JumpIfAbove);
        }

        LoadState(Register.R14, StateOffsets.SegmentBase(segment));
        Encode(Instruction.Create(
            _mode.IsLong ? Code.Lea_r64_m : Code.Lea_r32_m,
            _mode.IsLong ? Register.R15 : Register.R15D,
            new MemoryOperand(Register.R15, Register.R14)));
        return Register.R15;
    }

    /// <summary>Must the segment's base be added and its limit be checked? A flat CS is good for reading; nothing but its own check says whether it can be written.</summary>
    private bool IsBased(SegmentIndex segment, bool write) => _mode.IsLong ? segment is SegmentIndex.Fs or SegmentIndex.Gs
        : !_mode.IsFlat(segment) || (write && segment == SegmentIndex.Cs);

    /// <summary>Computes the offset of a memory operand in its segment. Returns R15, or the guest's own register where that is all and it may be. Changes R13.</summary>
    private Register EmitOffset(in Instruction instruction, bool mayBeGuests)
    {
        bool narrow = !_mode.IsLong || instruction.MemoryBase.IsGPR32() || instruction.MemoryIndex.IsGPR32();
        if (instruction.IsIPRelativeMemoryOperand)
        {
            WriteImmediate(_main, Register.R15, instruction.MemoryBase == Register.EIP
                ? (uint)instruction.IPRelativeMemoryAddress : instruction.IPRelativeMemoryAddress);
        }
        else if (instruction.MemoryBase == Register.None && instruction.MemoryIndex == Register.None)
        {
            ulong displacement = instruction.MemoryDisplacement64;
            if (!_mode.IsLong || instruction.MemoryDisplSize == 4 && false) displacement = (uint)displacement;
            WriteImmediate(_main, Register.R15, displacement);
        }
        else
        {
            bool isPlain = !narrow && mayBeGuests && instruction.MemoryIndex == Register.None && instruction.MemoryDisplacement64 == 0;
            int number = instruction.MemoryBase == Register.None ? 0 : instruction.MemoryBase.GetFullRegister() - Register.RAX;
            if (isPlain && !IsResident(number)) return Renamed(number);
            MemoryOperand operand = PlainOperand(instruction, Register.R15, Register.R13);
            Encode(Instruction.Create(narrow ? Code.Lea_r32_m : Code.Lea_r64_m, narrow ? Register.R15D : Register.R15, operand));
            if (instruction.MemoryBase.IsGPR16() || instruction.MemoryIndex.IsGPR16())
                Encode(Instruction.Create(Code.Movzx_r32_rm16, Register.R15D, Register.R15W));
        }

        return Register.R15;
    }

    private static SegmentIndex SegmentOf(in Instruction instruction) => instruction.MemorySegment switch
    {
        Register.ES => SegmentIndex.Es,
        Register.CS => SegmentIndex.Cs,
        Register.SS => SegmentIndex.Ss,
        Register.FS => SegmentIndex.Fs,
        Register.GS => SegmentIndex.Gs,
        _ => SegmentIndex.Ds,
    };

    /// <summary>Checks an access; afterwards [address + R13] is the operand in the host's address space. Changes R14 and the host's flags.</summary>
    private void EmitProbe(Register address, int size, bool write)
    {
        Probe probe = _code.ProbeFor(address, size, write, _mode.Table);
        _main.Write(probe.Compare);
        JumpSlow(_code.JumpIfNotEqual, address, size, write);
        _main.Write(probe.Addend);
    }
}
