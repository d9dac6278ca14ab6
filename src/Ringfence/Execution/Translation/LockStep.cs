using System.Globalization;
using System.Runtime.InteropServices;
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
/// translated code runs. Units that call out or touch anything but RAM cannot be run twice and are not compared, nor are those
/// that translated code left before their end for another reason than a fault.
/// </para>
/// <para>What other processors and devices write between the two is taken for a difference: for machines with one processor.</para>
/// </summary>
internal sealed unsafe class LockStep : IDisposable
{
    /// <summary>Times each fragment is compared; what is hot is not worth more, and the guest would never get anywhere.</summary>
    public const int Samples = 64;

    private readonly Processor _processor;
    private readonly VcpuState* _s;
    private readonly SingleDecoder _decoder = new();
    private readonly Operation* _operations = (Operation*)NativeMemory.AlignedAlloc(2 * Operation.SizeInBytes, 64);
    private readonly InstructionInfoFactory _info = new();
    private readonly List<MemoryBefore> _writes = [];
    private readonly StateCopy _before = new();
    private readonly StateCopy _expected = new();
    private readonly List<Instruction> _unit = [];
    private RflagsBits _undefined;

    public LockStep(Processor processor)
    {
        _processor = processor;
        _s = processor.State;
    }

    /// <summary>Units compared.</summary>
    public long Compared { get; private set; }

    /// <summary>Interprets a unit and puts everything back. False: it cannot be compared.</summary>
    /// <param name="unit">Its instructions.</param>
    /// <param name="code">Their bytes.</param>
    public bool Prepare(ReadOnlySpan<Instruction> unit, byte* code)
    {
        _writes.Clear();
        _undefined = 0;
        _unit.Clear();
        foreach (ref readonly Instruction instruction in unit) _unit.Add(instruction);
        _before.Take(_s);
        _processor.Exits.Suspend();
        bool ok = TryInterpret(unit, code);
        _processor.Exits.Continue();
        _expected.Take(_s);
        foreach (MemoryBefore write in _writes) write.KeepResult();
        for (int i = _writes.Count - 1; i >= 0; i--) _writes[i].Undo();
        _before.Restore(_s);
        _processor.RefreshMode();
        return ok;
    }

    /// <summary>Compares the state after the translated unit with the interpreter's.</summary>
    /// <param name="hostCode">Lists the host code of the unit.</param>
    /// <exception cref="InvalidOperationException">They differ.</exception>
    public void Compare(Func<string> hostCode)
    {
        Compared++;
        var differences = new StringBuilder();
        StateCopy.Describe(_expected.State, _s, ~UndefinedStatus(), ~UndefinedConditions(), differences);
        foreach (MemoryBefore write in _writes) write.Describe(differences);
        if (differences.Length == 0) return;
        var listing = new StringBuilder();
        foreach (Instruction instruction in _unit) listing.Append(CultureInfo.InvariantCulture, $"\n  {instruction.IP:x16} {instruction}");
        throw new InvalidOperationException(
            $"Translated and interpreted code differ after{listing}\nfrom{_before.Text()}\nDifferences (interpreted, translated):{differences}\n{hostCode()}");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _before.Dispose();
        _expected.Dispose();
        NativeMemory.AlignedFree(_operations);
    }

    private bool TryInterpret(ReadOnlySpan<Instruction> unit, byte* code)
    {
        foreach (ref readonly Instruction instruction in unit)
        {
            bool showsUndefined = _undefined != 0 && (instruction.Mnemonic is Mnemonic.Pushf or Mnemonic.Pushfd or Mnemonic.Pushfq);
            if (_s->Rip != instruction.IP || showsUndefined || !Keep(instruction)) return false;
            // An interrupt shadow ends with its instruction; here nobody else ends it.
            _s->InterruptShadow = 0;
            Operation* op = Decode(code + (instruction.IP - unit[0].IP));
            if (op is null) return false;
            while (op is not null) op = op->Execute(_processor, _s, op);
            if (_s->FaultPending != 0) return true;
            // A shift or rotation by zero leaves the flags as they were, undefined ones too.
            bool mayKeep = instruction.OpCount > 1 && instruction.GetOpKind(instruction.OpCount - 1) == OpKind.Register
                && instruction.GetOpRegister(instruction.OpCount - 1) == Register.CL;
            if (!mayKeep) _undefined &= ~(instruction.RflagsWritten | instruction.RflagsCleared | instruction.RflagsSet);
            _undefined |= instruction.RflagsUndefined;
            // Intel's processors clear C1, AMD's leave it alone.
            if (instruction.Mnemonic is Mnemonic.Fcomi or Mnemonic.Fcomip or Mnemonic.Fucomi or Mnemonic.Fucomip) _undefined |= RflagsBits.C1;
        }

        return true;
    }

    /// <summary>Decodes the instruction at RIP, without a fetch: that would set accessed bits, which translated code has no reason to.</summary>
    private Operation* Decode(byte* code)
    {
        ulong linear = _s->Mode == ProcessorMode.Long ? _s->Rip : (uint)(_s->Rip + _s->Segment(SegmentIndex.Cs).Base);
        int offset = (int)(linear & 0xfff);
        _s->CodeEntries = null;
        _s->Gpr[VcpuState.PageSlot] = _s->Rip - (ulong)offset;
        return _decoder.TryDecode(code, 4096 - offset, offset, CodeSize.KindOf(_s), _operations) ? _operations : null;
    }

    /// <summary>The bits of RFLAGS that have no defined value now.</summary>
    private ulong UndefinedStatus()
    {
        ulong bits = 0;
        if ((_undefined & RflagsBits.CF) != 0) bits |= Processors.RflagsBits.Cf;
        if ((_undefined & RflagsBits.PF) != 0) bits |= Processors.RflagsBits.Pf;
        if ((_undefined & RflagsBits.AF) != 0) bits |= Processors.RflagsBits.Af;
        if ((_undefined & RflagsBits.ZF) != 0) bits |= Processors.RflagsBits.Zf;
        if ((_undefined & RflagsBits.SF) != 0) bits |= Processors.RflagsBits.Sf;
        if ((_undefined & RflagsBits.OF) != 0) bits |= Processors.RflagsBits.Of;
        return bits;
    }

    /// <summary>The bits of the x87 status word that have no defined value now.</summary>
    private int UndefinedConditions() => ((_undefined & RflagsBits.C0) != 0 ? 0x100 : 0) | ((_undefined & RflagsBits.C1) != 0 ? 0x200 : 0)
        | ((_undefined & RflagsBits.C2) != 0 ? 0x400 : 0) | ((_undefined & RflagsBits.C3) != 0 ? 0x4000 : 0);

    /// <summary>Keeps what an instruction is about to write. False: it touches something that is not RAM.</summary>
    private bool Keep(in Instruction instruction)
    {
        foreach (UsedMemory memory in _info.GetInfo(instruction).GetUsedMemory())
        {
            if (memory.Access is OpAccess.NoMemAccess or OpAccess.None) continue;
            int size = memory.MemorySize.GetSize();
            ulong linear = memory.GetVirtualAddress(0, (register, _, _) => ValueOf(register));
            if (_s->Mode != ProcessorMode.Long) linear = (uint)linear;
            for (int done = 0; done < size;)
            {
                ulong at = linear + (ulong)done;
                int part = (int)Math.Min((ulong)(size - done), 4096 - (at & 0xfff));
                done += part;
                if (!_processor.Mmu.TryTranslateForDebugger(at, out ulong physical)) continue;
                byte* page = _processor.Mmu.Memory.PageAt(physical, out bool writable);
                if (page is null || physical >> 12 == _processor.Mmu.PrivateDevicePage >> 12) return false;
                if (!writable || memory.Access is OpAccess.Read or OpAccess.CondRead) continue;
                _writes.Add(new MemoryBefore(at, page + (physical & 0xfff), part));
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
}
