using System.Globalization;
using System.Text;
using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Processors.Instructions;
using Register = Iced.Intel.Register;
using RflagsBits = Iced.Intel.RflagsBits;

namespace Ringfence.Execution.Translation;

/// <summary>
/// Executes each translation unit twice from the same state, interpreted and translated, and compares registers, defined flags,
/// faults and what was written to memory.
/// <para>
/// The interpreter goes first. What its instructions are about to write is kept, so that memory can be put back before the
/// translated code runs. Units that call out or touch anything but RAM cannot be run twice and are not compared.
/// </para>
/// </summary>
internal sealed unsafe class LockStep
{
    /// <summary>Times each fragment is compared; what is hot is not worth more, and the guest would never get anywhere.</summary>
    public const int Samples = 64;

    private readonly Processor _processor;
    private readonly VcpuState* _s;
    private readonly SingleStepper _stepper;
    private readonly InstructionInfoFactory _info = new();
    private readonly List<Write> _writes = [];
    private Snapshot _before;
    private Snapshot _expected;
    private RflagsBits _undefined;
    private string _listing = "";

    public LockStep(Processor processor, SingleStepper stepper)
    {
        _processor = processor;
        _s = processor.State;
        _stepper = stepper;
    }

    /// <summary>Units compared.</summary>
    public long Compared { get; private set; }

    /// <summary>Interprets a unit and puts everything back. False: it cannot be compared.</summary>
    public bool Prepare(ReadOnlySpan<Instruction> unit)
    {
        _writes.Clear();
        _undefined = 0;
        _before = Snapshot.Of(_s);
        var listing = new StringBuilder();
        bool ok = true;
        foreach (ref readonly Instruction instruction in unit)
        {
            listing.Append(CultureInfo.InvariantCulture, $"\n  {instruction.IP:x16} {instruction}");
            bool showsUndefined = _undefined != 0 && (instruction.Mnemonic is Mnemonic.Pushf or Mnemonic.Pushfd or Mnemonic.Pushfq);
            if (_s->Rip != instruction.IP || showsUndefined || !Keep(instruction))
            {
                ok = false;
                break;
            }

            Operation* op = _stepper.Find(_s->Rip, _s->Rip);
            while (op is not null) op = op->Execute(_processor, _s, op);
            if (_s->FaultPending != 0) break;
            _undefined = (_undefined & ~(instruction.RflagsWritten | instruction.RflagsCleared | instruction.RflagsSet)) | instruction.RflagsUndefined;
            // Intel's processors clear C1, AMD's leave it alone.
            if (instruction.Mnemonic is Mnemonic.Fcomi or Mnemonic.Fcomip or Mnemonic.Fucomi or Mnemonic.Fucomip) _undefined |= RflagsBits.C1;
        }

        _listing = listing.ToString();
        _expected = Snapshot.Of(_s);
        foreach (Write write in _writes) write.KeepResult();
        for (int i = _writes.Count - 1; i >= 0; i--) _writes[i].Undo();
        _before.Restore(_s);
        _processor.RefreshMode();
        return ok;
    }

    /// <summary>Compares the state after the translated unit with the interpreter's.</summary>
    /// <exception cref="InvalidOperationException">They differ.</exception>
    public void Compare()
    {
        // For an event that waits, translated code may have been left before the unit's end: where it polls, and behind STI.
        if ((Volatile.Read(ref _s->Events) & _s->EventMask) != 0) return;
        Compared++;
        var differences = new StringBuilder();
        Snapshot actual = Snapshot.Of(_s);
        ulong mask = ~0UL;
        if ((_undefined & RflagsBits.CF) != 0) mask &= ~1UL;
        if ((_undefined & RflagsBits.PF) != 0) mask &= ~4UL;
        if ((_undefined & RflagsBits.AF) != 0) mask &= ~16UL;
        if ((_undefined & RflagsBits.ZF) != 0) mask &= ~64UL;
        if ((_undefined & RflagsBits.SF) != 0) mask &= ~128UL;
        if ((_undefined & RflagsBits.OF) != 0) mask &= ~2048UL;
        int conditionCodes = ((_undefined & RflagsBits.C0) != 0 ? 0x100 : 0) | ((_undefined & RflagsBits.C1) != 0 ? 0x200 : 0)
            | ((_undefined & RflagsBits.C2) != 0 ? 0x400 : 0) | ((_undefined & RflagsBits.C3) != 0 ? 0x4000 : 0);
        actual.Describe(_expected, mask, ~conditionCodes, differences);
        foreach (Write write in _writes) write.Compare(differences);
        if (differences.Length == 0) return;
        throw new InvalidOperationException(
            $"Translated and interpreted code differ after{_listing}\nfrom{_before.Text()}\nDifferences (interpreted, translated):{differences}");
    }

    /// <summary>Keeps what an instruction is about to write. False: it touches something that is not RAM.</summary>
    private bool Keep(in Instruction instruction)
    {
        foreach (UsedMemory memory in _info.GetInfo(instruction).GetUsedMemory())
        {
            if (memory.Access is OpAccess.NoMemAccess or OpAccess.None) continue;
            int size = memory.MemorySize.GetSize();
            ulong linear = memory.GetVirtualAddress(0, (register, _, _) => ValueOf(register));
            if (memory.AddressSize == Iced.Intel.CodeSize.Code32 && _s->Mode != ProcessorMode.Long) linear = (uint)linear;
            if (memory.Segment is Register.CS or Register.DS or Register.ES or Register.SS && _s->Mode != ProcessorMode.Long
                && ValueOf(memory.Segment) != 0) return false;
            for (int done = 0; done < size;)
            {
                ulong at = linear + (ulong)done;
                int part = (int)Math.Min((ulong)(size - done), 4096 - (at & 0xfff));
                done += part;
                if (!_processor.Mmu.TryTranslateForDebugger(at, out ulong physical)) continue;
                byte* page = _processor.Mmu.Memory.PageAt(physical, out _);
                if (page is null || physical >> 12 == _processor.Mmu.PrivateDevicePage >> 12) return false;
                if (memory.Access is OpAccess.Read or OpAccess.CondRead) continue;
                _writes.Add(new Write(page + (physical & 0xfff), part));
            }
        }

        return true;
    }

    private ulong ValueOf(Register register)
    {
        if (register.IsSegmentRegister())
        {
            bool ignored = _s->Mode == ProcessorMode.Long && register is not (Register.FS or Register.GS);
            return ignored ? 0 : _s->Segment((SegmentIndex)(register - Register.ES)).Base;
        }

        if (!register.IsGPR()) return 0;
        ulong value = _s->Gpr[register.GetFullRegister() - Register.RAX];
        return register.GetSize() switch { 8 => value, 4 => (uint)value, 2 => (ushort)value, _ => (byte)value };
    }

    /// <summary>Bytes that were about to be written.</summary>
    private sealed class Write
    {
        private readonly byte* _place;
        private readonly byte[] _before;
        private byte[] _after = [];

        public Write(byte* place, int length)
        {
            _place = place;
            _before = new Span<byte>(place, length).ToArray();
        }

        public void KeepResult() => _after = new Span<byte>(_place, _before.Length).ToArray();

        public void Undo() => _before.CopyTo(new Span<byte>(_place, _before.Length));

        public void Compare(StringBuilder differences)
        {
            var bytes = new Span<byte>(_place, _before.Length);
            if (!bytes.SequenceEqual(_after))
                differences.Append(CultureInfo.InvariantCulture, $"\n  memory {Convert.ToHexString(_after)} {Convert.ToHexString(bytes)}");
        }
    }

    /// <summary>What translated code may change.</summary>
    private struct Snapshot
    {
        private fixed ulong _gpr[16];
        private fixed ulong _xmm[32];
        private fixed ulong _significands[8];
        private fixed ushort _signExponents[8];
        private ulong _x87InstructionPointer;
        private ulong _x87DataPointer;
        private ushort _x87Control;
        private ushort _x87Status;
        private ushort _x87Opcode;
        private ushort _x87InstructionSelector;
        private ushort _x87DataSelector;
        private byte _x87Tag;
        private ulong _statusResult;
        private ulong _statusCarries;
        private ulong _rip;
        private ulong _systemFlags;
        private ulong _rflags;
        private ulong _count;
        private ulong _cr2;
        private uint _mxcsr;
        private int _eventMask;
        private byte _faultPending;
        private byte _faultVector;
        private byte _faultHasErrorCode;
        private uint _faultErrorCode;
        private byte _shadow;

        public static Snapshot Of(VcpuState* s)
        {
            Snapshot result = default;
            for (int i = 0; i < 16; i++) result._gpr[i] = s->Gpr[i];
            for (int i = 0; i < 32; i++) result._xmm[i] = s->Xmm[i];
            for (int i = 0; i < 8; i++)
            {
                result._significands[i] = s->X87Significand[i];
                result._signExponents[i] = s->X87SignExponent[i];
            }

            result._x87InstructionPointer = s->X87InstructionPointer;
            result._x87DataPointer = s->X87DataPointer;
            result._x87Control = s->X87Control;
            result._x87Status = s->X87Status;
            result._x87Opcode = s->X87Opcode;
            result._x87InstructionSelector = s->X87InstructionSelector;
            result._x87DataSelector = s->X87DataSelector;
            result._x87Tag = s->X87Tag;
            result._statusResult = s->StatusResult;
            result._statusCarries = s->StatusCarries;
            result._rip = s->Rip;
            result._systemFlags = s->SystemFlags;
            result._rflags = s->Rflags;
            result._count = s->InstructionCount;
            result._cr2 = s->Cr2;
            result._mxcsr = s->Mxcsr;
            result._eventMask = s->EventMask;
            result._faultPending = s->FaultPending;
            result._faultVector = s->FaultVector;
            result._faultHasErrorCode = s->FaultHasErrorCode;
            result._faultErrorCode = s->FaultErrorCode;
            result._shadow = s->InterruptShadow;
            return result;
        }

        public readonly void Restore(VcpuState* s)
        {
            for (int i = 0; i < 16; i++) s->Gpr[i] = _gpr[i];
            for (int i = 0; i < 32; i++) s->Xmm[i] = _xmm[i];
            for (int i = 0; i < 8; i++)
            {
                s->X87Significand[i] = _significands[i];
                s->X87SignExponent[i] = _signExponents[i];
            }

            s->X87InstructionPointer = _x87InstructionPointer;
            s->X87DataPointer = _x87DataPointer;
            s->X87Control = _x87Control;
            s->X87Status = _x87Status;
            s->X87Opcode = _x87Opcode;
            s->X87InstructionSelector = _x87InstructionSelector;
            s->X87DataSelector = _x87DataSelector;
            s->X87Tag = _x87Tag;
            s->StatusResult = _statusResult;
            s->StatusCarries = _statusCarries;
            s->Rip = _rip;
            s->SystemFlags = _systemFlags;
            s->InstructionCount = _count;
            s->Cr2 = _cr2;
            s->Mxcsr = _mxcsr;
            s->EventMask = _eventMask;
            s->FaultPending = _faultPending;
            s->FaultVector = _faultVector;
            s->FaultHasErrorCode = _faultHasErrorCode;
            s->FaultErrorCode = _faultErrorCode;
            s->InterruptShadow = _shadow;
        }

        /// <summary>Appends where this differs from what was expected.</summary>
        public readonly void Describe(in Snapshot expected, ulong flagMask, int x87StatusMask, StringBuilder text)
        {
            for (int i = 0; i < 16; i++) Line(text, (Register.RAX + i).ToString(), expected._gpr[i], _gpr[i]);
            for (int i = 0; i < 32; i++) Line(text, $"XMM{i / 2}.{i & 1}", expected._xmm[i], _xmm[i]);
            DescribeX87(expected, x87StatusMask, text);
            Line(text, "RIP", expected._rip, _rip);
            Line(text, "RFLAGS", expected._rflags & flagMask, _rflags & flagMask);
            Line(text, "CR2", expected._cr2, _cr2);
            Line(text, "MXCSR", expected._mxcsr, _mxcsr);
            Line(text, "fault pending", expected._faultPending, _faultPending);
            if (_faultPending == 0 || expected._faultPending == 0) return;
            Line(text, "vector", expected._faultVector, _faultVector);
            Line(text, "error code", expected._faultErrorCode, _faultErrorCode);
        }

        public readonly string Text()
        {
            var text = new StringBuilder();
            for (int i = 0; i < 16; i++) text.Append(CultureInfo.InvariantCulture, $"{(i % 4 == 0 ? "\n  " : " ")}{Register.RAX + i}={_gpr[i]:x16}");
            text.Append(CultureInfo.InvariantCulture, $"\n  RIP={_rip:x16} RFLAGS={_rflags:x}");
            return text.ToString();
        }

        private readonly void DescribeX87(in Snapshot expected, int statusMask, StringBuilder text)
        {
            for (int i = 0; i < 8; i++)
            {
                Line(text, $"R{i} significand", expected._significands[i], _significands[i]);
                Line(text, $"R{i} sign and exponent", expected._signExponents[i], _signExponents[i]);
            }

            Line(text, "x87 control", expected._x87Control, _x87Control);
            Line(text, "x87 status", (uint)(expected._x87Status & statusMask), (uint)(_x87Status & statusMask));
            Line(text, "x87 tag", expected._x87Tag, _x87Tag);
            Line(text, "FOP", expected._x87Opcode, _x87Opcode);
            Line(text, "FIP", expected._x87InstructionPointer, _x87InstructionPointer);
            Line(text, "FCS", expected._x87InstructionSelector, _x87InstructionSelector);
            Line(text, "FDP", expected._x87DataPointer, _x87DataPointer);
            Line(text, "FDS", expected._x87DataSelector, _x87DataSelector);
        }

        private static void Line(StringBuilder text, string name, ulong expected, ulong actual)
        {
            if (expected != actual) text.Append(CultureInfo.InvariantCulture, $"\n  {name} {expected:x} {actual:x}");
        }
    }
}
