using Iced.Intel;
using Ringfence.Execution.Translation.Listing;
using Ringfence.Processors;
using Ringfence.Processors.Instructions;
using Register = Iced.Intel.Register;
using RflagsBits = Iced.Intel.RflagsBits;

namespace Ringfence.Execution.Translation;

/// <summary>
/// Compiles translation units: decodes up to <see cref="UnitLimit"/> instructions or up to a control transfer, and emits the fragment.
/// <para>
/// The status flags are followed from instruction to instruction: they are in the host's flags, or saved in the state, or in both. What
/// an emitted check destroys was saved before, once, and comes back only if an instruction wants it; so a fault sees exact flags.
/// </para>
/// </summary>
internal sealed unsafe partial class FragmentCompiler
{
    /// <summary>Instructions of a unit.</summary>
    public const int UnitLimit = 12;

    private const RflagsBits Status = RflagsBits.OF | RflagsBits.SF | RflagsBits.ZF | RflagsBits.AF | RflagsBits.CF | RflagsBits.PF;

    private readonly VcpuState* _s;
    private readonly TranslationCache _cache;
    private readonly HostCode _code = new();
    private readonly CommonCode[] _common;
    private readonly CodeBytes _bytes = new();
    private readonly Decoder[] _decoders;
    private readonly Encoder _encoder;
    private readonly InstructionInfoFactory _info = new();
    private readonly Instruction[] _unit = new Instruction[UnitLimit + 2];
    private readonly TranslationKind[] _kinds = new TranslationKind[UnitLimit + 2];
    private readonly List<FailedCheck> _slow = [];
    private readonly CodeStream _main;
    private readonly CodeStream _rare;

    // What is being compiled.
    private TranslationMode _mode;
    private CommonCode _exits;
    private byte* _guest;
    private ulong _rip;
    private int _pageOffset;
    private int _available;
    private int _index;
    private int _step = -1;
    private ushort _guestOffset;
    private FlagsAt _flags;
    private Tail _tail;

    public FragmentCompiler(Processor processor, TranslationCache cache)
    {
        _s = processor.State;
        _cache = cache;
        _main = cache.Main;
        _rare = cache.Rare;
        _encoder = Encoder.Create(64, _main);
        _decoders =
        [
            Decoder.Create(16, _bytes, OperationDecoder.Options),
            Decoder.Create(32, _bytes, OperationDecoder.Options),
            Decoder.Create(64, _bytes, OperationDecoder.Options),
        ];
        _common = [new CommonCode(cache.Common, simd: false), new CommonCode(cache.Common, simd: true)];
        _exits = _common[0];
        cache.PollBytes = [.. _code.Poll, .. _code.PollLoad];
        cache.LookUpFailed = mode => CommonFor(mode).LookUpFailed;
    }

    /// <summary>Told which code was emitted for which instruction; null outside listings.</summary>
    public IFragmentListener? Listener { get; set; }

    /// <summary>Instructions that access devices: they call out at once.</summary>
    public HashSet<ulong> DirectSites { get; } = [];

    /// <summary>Are units laid behind those they follow? Not where each is to be looked at by itself.</summary>
    public bool LaysTails { get; set; } = true;

    /// <summary>Linear address at which the guest's code ends, for listings: nothing is decoded from there on.</summary>
    public ulong CodeEnd { get; set; } = ulong.MaxValue;

    /// <summary>Decodes a fragment's unit again. False: not all of it is translated, some of it calls out.</summary>
    public bool TryDecodeWhole(int index, out ReadOnlySpan<Instruction> unit, out byte* code)
    {
        Fragment* fragment = _cache.Fragments + index;
        CodePage page = _cache.Page(fragment->Page);
        int count = Begin(page, fragment->PageOffset, fragment->Rip, out _);
        unit = new ReadOnlySpan<Instruction>(_unit, 0, count);
        code = _guest;
        if (count == 0) return false;
        foreach (ref readonly Instruction instruction in unit)
        {
            TranslationKind kind = KindOf(instruction);
            if (kind == TranslationKind.CallOut || !IsComparable(instruction, kind) || (kind == TranslationKind.Simd && !_mode.IsSimd)) return false;
        }

        return true;
    }

    /// <summary>The ways in and out for a mode.</summary>
    public CommonCode CommonFor(TranslationMode mode) => _common[mode.IsSimd ? 1 : 0];

    /// <summary>
    /// Compiles the unit at an offset of a page. 0: its first instruction continues in the next page, or its code segment ends before.
    /// The cache must have room.
    /// </summary>
    public int Compile(CodePage page, int offset, ulong rip)
    {
        long started = System.Diagnostics.Stopwatch.GetTimestamp();
        int count = Begin(page, offset, rip, out int length);
        int index = count == 0 ? 0 : Compile(page, offset, rip, count, length);
        _cache.Statistics.Sizes[_mode.Kind].Ticks += System.Diagnostics.Stopwatch.GetTimestamp() - started;
        return index;
    }

    private int Compile(CodePage page, int offset, ulong rip, int count, int length)
    {
        var fragment = new Fragment
        {
            Rip = rip,
            Page = page.Index,
            PageOffset = (ushort)offset,
            EntryPageOffset = (ushort)offset,
            GuestLength = (ushort)length,
            Instructions = (byte)count,
            IsAlive = true,
        };
        fragment.FlagsEntry = _mode.IsLimited || _across is not null ? FlagsEntry.SavedFirst : FindFlagsEntry(count);
        int laid = TakeTail(page, rip);
        if (laid == 0) _main.Align();
        EmitFragment(ref fragment, count);
        int index = _cache.Add(fragment);
        if (laid != 0)
        {
            Site* site = _cache.Sites + laid;
            site->IsLaid = true;
            _cache.Register(laid, index);
        }

        SizeStatistics statistics = _cache.Statistics.Sizes[_mode.Kind];
        statistics.Units++;
        statistics.Instructions += count;
        statistics.GuestBytes += length;
        statistics.HostBytes += fragment.End - fragment.Start + fragment.RareEnd - fragment.RareStart;
        return index;
    }

    /// <summary>Forgets what refers to code that has been thrown away.</summary>
    public void Forget() => _tail = default;

    /// <summary>Makes a unit the one that is being compiled. Returns the number of its instructions.</summary>
    private int Begin(CodePage page, int offset, ulong rip, out int length)
    {
        _mode = page.Mode;
        _exits = CommonFor(_mode);
        _guest = _cache.Watch(page) + offset;
        _rip = rip;
        _pageOffset = offset;
        _available = (int)Math.Min(4096 - (ulong)offset, CodeEnd - (page.Linear + (ulong)offset));
        return Decode(out length);
    }

    private int Decode(out int length)
    {
        Decoder decoder = _decoders[_mode.Kind];
        _bytes.Set(_guest, _available);
        decoder.IP = _rip;
        int count = 0;
        length = 0;
        while (true)
        {
            decoder.Decode(out Instruction instruction);
            if (decoder.LastError == DecoderError.NoMoreBytes) break;
            _kinds[count] = KindOf(instruction);
            _unit[count++] = instruction;
            length += instruction.Length;
            if (instruction.IsInvalid || EndsUnit(instruction) || _pageOffset + length >= 4096) break;
            // An STI takes one instruction more with it: interrupts wait for it (Intel SDM 2B "STI").
            if (count >= UnitLimit && (instruction.Mnemonic != Mnemonic.Sti || count > UnitLimit)) break;
        }

        return count;
    }

    private void EmitFragment(ref Fragment fragment, int count)
    {
        fragment.Start = _main.Offset;
        fragment.RareStart = _rare.Offset;
        _index = 0;
        _guestOffset = 0;
        BeginUnitX87(isTrace: false);
        EmitPoll(_main, _cache.NextFragment, flagsSaved: false, _guestOffset);
        fragment.EntryHost = _main.Offset;
        _flags = FlagsAt.Host;
        if (fragment.FlagsEntry == FlagsEntry.SavedFirst)
        {
            WriteMarked(_main, HostCodeLabel.Flags, _code.SaveFlags);
            fragment.EntrySaved = _main.Offset;
            _flags = FlagsAt.Saved;
        }
        else if (fragment.FlagsEntry == FlagsEntry.Dead)
        {
            fragment.EntrySaved = fragment.EntryHost;
        }

        if (_across is not null) EmitAcrossCheck(_across);
        if (_mode.IsLimited) EmitLimit();
        if (_mode.IsCounting) EmitCount(_main, count);
        EmitUnit(count);
        fragment.End = _main.Offset;
        fragment.RareEnd = _rare.Offset;
    }

    private bool EndsUnit(in Instruction instruction) =>
        instruction.FlowControl != FlowControl.Next || instruction.Mnemonic is Mnemonic.Hlt || SwitchesMode(instruction);

    /// <summary>What the unit does first with the status flags.</summary>
    private FlagsEntry FindFlagsEntry(int count)
    {
        for (int i = 0; i < count; i++)
        {
            ref Instruction instruction = ref _unit[i];
            TranslationKind kind = _kinds[i];
            switch (kind)
            {
                case TranslationKind.NoOperation or TranslationKind.AddressOf:
                    continue;
                case TranslationKind.Ident or TranslationKind.Simd when !HasMemoryAccess(instruction) && !(kind == TranslationKind.Simd && !_mode.IsSimd):
                    if (NeedsFlags(instruction)) return FlagsEntry.Host;
                    if ((instruction.RflagsModified & Status) == Status) return FlagsEntry.Dead;
                    continue;
                case TranslationKind.ConditionalJump or TranslationKind.CounterJump:
                    return FlagsEntry.Host;
                case TranslationKind.Jump:
                    return IsInPage(instruction.NearBranchTarget) ? FlagsEntry.Host : FlagsEntry.SavedFirst;
                default:
                    return FlagsEntry.SavedFirst;
            }
        }

        return FlagsEntry.Host;
    }

    /// <summary>Does the instruction read status flags, or keep some of them and change others?</summary>
    private static bool NeedsFlags(in Instruction instruction)
    {
        if ((instruction.RflagsRead & Status) != 0) return true;
        RflagsBits modified = instruction.RflagsModified & Status;
        if (modified == 0) return false;
        if (modified != Status) return true;
        return instruction.Mnemonic is Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Shld or Mnemonic.Shrd
            && MayShiftByZero(instruction);
    }

    /// <summary>A shift by zero changes no flags.</summary>
    private static bool MayShiftByZero(in Instruction instruction)
    {
        int last = instruction.OpCount - 1;
        return instruction.GetOpKind(last) != OpKind.Immediate8 || (instruction.GetImmediate(last) & 31) == 0;
    }

    private bool HasMemoryAccess(in Instruction instruction)
    {
        for (int i = 0; i < instruction.OpCount; i++)
        {
            OpKind kind = instruction.GetOpKind(i);
            if (kind == OpKind.Memory || kind is >= OpKind.MemorySegSI and <= OpKind.MemoryESRDI) return true;
        }

        return false;
    }

    /// <summary>How an instruction would be translated in a mode. Not while a unit is being compiled.</summary>
    public TranslationKind KindOf(in Instruction instruction, TranslationMode mode)
    {
        _mode = mode;
        return KindOf(instruction);
    }

    /// <summary>How the instruction is translated in the mode that is being compiled.</summary>
    private TranslationKind KindOf(in Instruction instruction)
    {
        TranslationKind kind = instruction.IsInvalid ? TranslationKind.CallOut : TranslationTable.KindOf(instruction.Code);
        if (DirectSites.Count != 0 && DirectSites.Contains(instruction.IP)) return TranslationKind.CallOut;
        switch (kind)
        {
            case TranslationKind.Ident when IsBitString(instruction):
                return IsInPlace(instruction, TranslationKind.BitString) ? TranslationKind.BitString : TranslationKind.CallOut;
            case TranslationKind.Ident when UsesUnencodableByte(instruction):
                return IsHighByteWithMemory(instruction) ? TranslationKind.HighByte : TranslationKind.CallOut;
            case TranslationKind.Simd when !_mode.IsSimd && _mode.IsUser:
                return TranslationKind.CallOut;
            case TranslationKind.Push or TranslationKind.Pop or TranslationKind.Leave or TranslationKind.Return or TranslationKind.Call
                or TranslationKind.CallIndirect or TranslationKind.JumpIndirect:
                return IsNaturalStack(instruction, kind) ? kind : TranslationKind.CallOut;
            case TranslationKind.Jump or TranslationKind.ConditionalJump or TranslationKind.CounterJump:
                return IsDirectTargetValid(instruction) ? kind : TranslationKind.CallOut;
            case TranslationKind.ClearInterrupts or TranslationKind.SetInterrupts or >= TranslationKind.LoadMxcsr:
                return IsInPlace(instruction, kind) ? kind : TranslationKind.CallOut;
            case TranslationKind.AddressOf:
                return instruction.MemoryBase.IsGPR16() || instruction.MemoryIndex.IsGPR16() || instruction.MemoryDisplSize == 2
                    || (instruction.IsIPRelativeMemoryOperand && instruction.Op0Register.IsGPR16()) ? TranslationKind.CallOut : kind;
            default:
                return kind;
        }
    }

    private void EmitUnit(int count)
    {
        bool ended = false;
        for (_index = 0; _index < count; _index++)
        {
            ref Instruction instruction = ref _unit[_index];
            _guestOffset = (ushort)(instruction.IP - _rip);
            _slow.Clear();
            int start = _main.Offset;
            int rareStart = _rare.Offset;
            TranslationKind kind = _kinds[_index];
            // Interrupts wait for the instruction behind STI: where that is not in the unit, only the definition sees to it.
            if (kind == TranslationKind.SetInterrupts && _index == count - 1) kind = TranslationKind.CallOut;
            BeginInstructionX87(kind);
            ended = Emit(ref instruction, kind);
            if (_slow.Count != 0) EmitSlowStubs(start, ended);
            EndInstructionX87(instruction, kind);
            Listener?.Emitted(_index, instruction, kind, start, _main.Offset, rareStart, _rare.Offset);
        }

        if (ended) return;
        ref Instruction last = ref _unit[count - 1];
        int exit = _main.Offset;
        int rareExit = _rare.Offset;
        _index = count - 1;
        NoteX87();
        EmitFallThrough(last.NextIP);
        Listener?.Emitted(-1, default, TranslationKind.Jump, exit, _main.Offset, rareExit, _rare.Offset);
    }

    /// <summary>Emits one instruction. True: it has left the unit.</summary>
    private bool Emit(ref Instruction instruction, TranslationKind kind)
    {
        switch (kind)
        {
            case TranslationKind.Ident:
                EmitGeneral(ref instruction, mayFault: false);
                return false;
            case TranslationKind.IdentThatFaults:
                EmitGeneral(ref instruction, mayFault: true);
                return false;
            case TranslationKind.Simd:
                if (_mode.IsSimd) EmitGeneral(ref instruction, mayFault: false);
                else EmitCallOut(SiteKind.Simd, ends: false);
                return false;
            case TranslationKind.X87:
                EmitX87(ref instruction);
                return false;
            case TranslationKind.AddressOf:
                EmitAddressOf(ref instruction);
                return false;
            case TranslationKind.NoOperation:
                return false;
            case TranslationKind.ConditionalJump:
                EmitConditionalJump(instruction);
                return true;
            case TranslationKind.CounterJump:
                EmitCounterJump(instruction);
                return true;
            case TranslationKind.Jump:
                EmitLink(instruction.NearBranchTarget);
                return true;
            case TranslationKind.JumpIndirect:
                EmitJumpIndirect(instruction);
                return true;
            case TranslationKind.Call:
                EmitCall(instruction);
                return true;
            case TranslationKind.CallIndirect:
                EmitCallIndirect(instruction);
                return true;
            case TranslationKind.Return:
                EmitReturn(instruction);
                return true;
            case TranslationKind.Push:
                EmitPush(instruction);
                return false;
            case TranslationKind.Pop:
                EmitPop(instruction);
                return false;
            case TranslationKind.Leave:
                EmitLeave();
                return false;
            case TranslationKind.ClearInterrupts:
                NeedSaved();
                _main.Write(_code.ClearInterrupts);
                _flags = FlagsAt.Saved;
                return false;
            case TranslationKind.SetInterrupts:
                NeedSaved();
                _main.Write(_code.CompareEvents);
                JumpSlow(_code.JumpIfNotEqual);
                _main.Write(_code.SetInterrupts);
                _flags = FlagsAt.Saved;
                return false;
            case >= TranslationKind.LoadMxcsr:
                return EmitInPlace(ref instruction, kind);
            default:
                bool ends = EndsUnit(instruction) || instruction.IsInvalid;
                EmitCallOut(SiteKind.CallOut, ends);
                return ends;
        }
    }

    /// <summary>Leaves so that the instruction is executed by its definition; goes on behind unless the unit ends with it.</summary>
    private void EmitCallOut(SiteKind kind, bool ends)
    {
        int start = _main.Offset;
        int site = NewSite(kind);
        _main.Write(_code.PushSite, site);
        _main.WriteBranch(_code.Jump, _flags == FlagsAt.Host ? _exits.ExitHost : _exits.ExitSaved);
        Mark(HostCodeLabel.CallOut, start, _main);
        if (!ends) _cache.Sites[site].Continuation = _main.Offset;
        _flags = FlagsAt.Both;
    }

    /// <summary>The rare paths of the checks of the instruction that has just been emitted: one for each access, and one for all other checks.</summary>
    private void EmitSlowStubs(int start, bool ended)
    {
        while (_slow.Count != 0)
        {
            FailedCheck first = _slow[0] with { Place = 0 };
            int site = NewSite(SiteKind.Memory);
            Site* s = _cache.Sites + site;
            s->FlagsSaved = true;
            if (!ended) s->Continuation = _main.Offset;
            if (first.Address != Register.None)
            {
                s->Retry = start;
                s->AddressRegister = GuestOf(first.Address);
                s->AccessSize = (byte)first.Size;
                s->Writes = first.Writes;
            }

            for (int i = _slow.Count - 1; i >= 0; i--)
            {
                if (_slow[i] with { Place = 0 } != first) continue;
                _main.Patch(_slow[i].Place, _rare.Offset);
                _slow.RemoveAt(i);
            }

            int stub = _rare.Offset;
            EndPromotions(_rare);
            _rare.Write(_code.PushSite, site);
            _rare.WriteBranch(_code.Jump, _exits.ExitSaved);
            Mark(HostCodeLabel.CallOut, stub, _rare);
            if (!_promotionsBegun) continue;
            if (!ended)
            {
                s->Continuation = _rare.Offset;
                EmitReload(_main.Offset);
            }

            if (s->Retry == 0) continue;
            s->Retry = _rare.Offset;
            EmitReload(start);
        }
    }

    private void JumpSlow(byte[] jump) => _slow.Add(new FailedCheck(_main.WriteBranch(jump, 0), Register.None, 0, false));

    /// <summary>As <see cref="JumpSlow(byte[])"/>, for a probe that the monitor may make succeed.</summary>
    private void JumpSlow(byte[] jump, Register address, int size, bool writes) =>
        _slow.Add(new FailedCheck(_main.WriteBranch(jump, 0), address, size, writes));

    private int NewSite(SiteKind kind) => _cache.NewSite(new Site
    {
        Fragment = _cache.NextFragment,
        GuestOffset = _guestOffset,
        Index = (byte)(_step >= 0 ? _step : _index),
        Code = (ushort)_unit[_index].Code,
        Kind = kind,
        FlagsSaved = _flags != FlagsAt.Host,
        Continuation = -1,
        UsesX87 = X87Table.UsesX87(_unit[_index].Code),
        ExpectsX87 = _x87Known,
        X87Note = _pendingNote,
    });

    /// <summary>Leaves at the limit.</summary>
    private void EmitLimit()
    {
        int start = _main.Offset;
        int rareStart = _rare.Offset;
        _main.Write(_code.CountCompare);
        int site = NewSite(SiteKind.Limit);
        _cache.Sites[site].FlagsSaved = true;
        _main.WriteBranch(_code.JumpIfAboveOrEqual, _rare.Offset);
        _rare.Write(_code.PushSite, site);
        _rare.WriteBranch(_code.Jump, _exits.ExitSaved);
        Mark(HostCodeLabel.Count, start, _main);
        Mark(HostCodeLabel.Count, rareStart, _rare);
        _flags = FlagsAt.Saved;
    }

    /// <summary>Counts all instructions of the unit or of the trace: exits before its end take the rest back. Changes R14 and no flags.</summary>
    private void EmitCount(CodeStream stream, int count)
    {
        int start = stream.Offset;
        stream.Write(_code.Load(Register.R14, StateOffsets.InstructionCount));
        stream.Write(_code.AddToCount, count);
        stream.Write(_code.Store(StateOffsets.InstructionCount, Register.R14));
        Mark(HostCodeLabel.Count, start, stream);
    }

    private void NeedSaved()
    {
        if (_flags != FlagsAt.Host) return;
        WriteMarked(_main, HostCodeLabel.Flags, _code.SaveFlags);
        _flags = FlagsAt.Both;
    }

    private void NeedHost()
    {
        if (_flags != FlagsAt.Saved) return;
        WriteMarked(_main, HostCodeLabel.Flags, _code.RestoreFlags);
        _flags = FlagsAt.Both;
    }

    private void WriteMarked(CodeStream stream, HostCodeLabel label, byte[] template)
    {
        int start = stream.Offset;
        stream.Write(template);
        Mark(label, start, stream);
    }

    private void Mark(HostCodeLabel label, int start, CodeStream stream) => Listener?.Marked(label, start, stream.Offset);

    private void Encode(in Instruction instruction)
    {
        if (_encoder.TryEncode(instruction, 0, out _, out string? error)) return;
        throw new InvalidOperationException($"No host encoding for {instruction} ({instruction.Code}): {error}");
    }

    private void LoadState(Register target, int offset) =>
        Encode(Instruction.Create(Code.Mov_r64_rm64, target, GsOperand(offset)));

    private void StoreState(int offset, Register source) =>
        Encode(Instruction.Create(Code.Mov_rm64_r64, GsOperand(offset), source));

    private static MemoryOperand GsOperand(int offset) =>
        new(Register.None, Register.None, 1, offset, 8, false, Register.GS);

    private static void WriteImmediate(CodeStream stream, Register register, ulong value)
    {
        int number = register - Register.RAX;
        byte high = (byte)(number >> 3);
        byte low = (byte)(number & 7);
        if (value <= uint.MaxValue)
        {
            if (high != 0) stream.WriteByte(0x41);
            stream.WriteByte((byte)(0xb8 | low));
            stream.Write32((int)value);
        }
        else if ((ulong)(int)value == value)
        {
            stream.Write([(byte)(0x48 | high), 0xc7, (byte)(0xc0 | low)]);
            stream.Write32((int)value);
        }
        else
        {
            stream.Write([(byte)(0x48 | high), (byte)(0xb8 | low)]);
            stream.Write32((int)value);
            stream.Write32((int)(value >> 32));
        }
    }

    /// <summary>Where the guest's status flags are.</summary>
    private enum FlagsAt
    {
        Host,
        Saved,
        Both,
    }

    /// <summary>A jump that is taken when a check fails.</summary>
    private readonly record struct FailedCheck(int Place, Register Address, int Size, bool Writes);

    /// <summary>A jump at the end of the emitted code whose target, if it is compiled next, is laid in its place.</summary>
    private struct Tail
    {
        public int Site;
        public int End;
        public int Page;
        public ulong Rip;
    }
}
