using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Processors.Instructions.X87;
using Register = Iced.Intel.Register;

namespace Ringfence.Execution.Translation;

/// <summary>
/// x87 and MMX instructions, which the host's unit executes (<see cref="HostX87"/>). The first of a unit looks whether it may be used and
/// holds the guest's registers; what can change that without leaving the unit for good brings it about again before it comes back.
/// </summary>
internal sealed unsafe partial class FragmentCompiler
{
    /// <summary>The guest's registers are known to be in the host's unit here, and usable.</summary>
    private bool _x87Known;

    /// <summary>A trace is being compiled.</summary>
    private bool _isInTrace;

    /// <summary>The current instruction becomes the one that the guest's pointers name.</summary>
    private bool _setsPointers;

    /// <summary>The site of the last numeric instruction of the unit, if translated code has not noted it yet.</summary>
    private int _pendingNote;

    /// <summary>The same for the instruction that is being emitted.</summary>
    private int _nextNote;

    /// <summary>Does an instruction leave in the host's unit what is there, and are its ways out of the unit sites?</summary>
    private static bool KeepsX87(TranslationKind kind) => kind is TranslationKind.X87 or TranslationKind.Ident or TranslationKind.IdentThatFaults
        or TranslationKind.Simd or TranslationKind.AddressOf or TranslationKind.NoOperation or TranslationKind.Push or TranslationKind.Pop
        or TranslationKind.Leave or TranslationKind.CallOut;

    private void BeginUnitX87(bool isTrace)
    {
        _isInTrace = isTrace;
        _x87Known = false;
        _pendingNote = _nextNote = 0;
    }

    private void BeginInstructionX87(TranslationKind kind)
    {
        _nextNote = 0;
        if (KeepsX87(kind)) return;
        NoteX87();
        // Traces have looked once and for all; they contain no instructions that could change it.
        if (!_isInTrace) _x87Known = false;
    }

    /// <summary>After the instruction and its slow path, which still sees its predecessor's note.</summary>
    private void EndInstructionX87(in Instruction instruction, TranslationKind kind)
    {
        if (_nextNote != 0) _pendingNote = _nextNote;
        else if (kind == TranslationKind.CallOut && X87Table.UsesX87(instruction.Code)) _pendingNote = 0;
    }

    /// <summary>Emits what notes the last numeric instruction, which no site will do any more.</summary>
    private void NoteX87()
    {
        if (_pendingNote == 0) return;
        _main.Write(_code.NoteX87, _pendingNote);
        _pendingNote = 0;
    }

    private void EmitX87(ref Instruction instruction)
    {
        EmitX87Check();
        _setsPointers = X87Table.SetsPointers(instruction);
        EmitGeneral(ref instruction, mayFault: true);
        _setsPointers = false;
    }

    /// <summary>Looks before a trace what the first of its instructions would, if there is one: inside, the registers of the deltas would be lost.</summary>
    private void EmitTraceX87Check()
    {
        BeginUnitX87(isTrace: true);
        bool any = false;
        for (int i = 0; i < _stepCount; i++) any |= _steps[i].Kind == TranslationKind.X87;
        if (any) EmitX87Check();
    }

    private void EmitWindowedX87(in Instruction instruction, int window)
    {
        _setsPointers = X87Table.SetsPointers(instruction);
        EmitWindowedGeneral(instruction, window);
        _setsPointers = false;
    }

    private void EmitX87Check()
    {
        if (_x87Known) return;
        NeedSaved();
        _main.Write(_code.CheckX87);
        int site = NewSite(SiteKind.X87);
        _main.WriteBranch(_code.JumpIfNotEqual, _rare.Offset);
        _rare.Write(_code.PushSite, site);
        _rare.WriteBranch(_code.Jump, _exits.ExitSaved);
        _cache.Sites[site].Continuation = _main.Offset;
        _flags = FlagsAt.Saved;
        _x87Known = true;
    }

    /// <summary>Remembers a numeric instruction for the guest's pointers; a memory operand at once, since its address is at hand.</summary>
    /// <param name="site">The instruction's site.</param>
    /// <param name="address">Register with the operand's linear address, which is mostly its offset; none: it has no memory operand.</param>
    /// <param name="displacement">What to add to the register; R14 is then changed.</param>
    private void EmitPointers(int site, Register address, long displacement)
    {
        if (!_setsPointers) return;
        ref Instruction instruction = ref _unit[_index];
        SegmentIndex segment = SegmentIndex.Ds;
        if (address != Register.None)
        {
            segment = SegmentOf(instruction);
            if (IsBased(segment, write: true))
            {
                // The instruction has changed no general register: the offset is what it was. A base can change before anybody asks.
                address = EmitOffset(instruction, mayBeGuests: true);
            }
            else if (displacement != 0)
            {
                Encode(Instruction.Create(Code.Lea_r64_m, Register.R14, new MemoryOperand(address, displacement, 8)));
                address = Register.R14;
            }

            StoreState(StateOffsets.X87DataOffset, address);
            _main.Write(_code.NoteX87Data, site);
        }

        _cache.Sites[site].Distance = HostX87.Describe(X87Encoding.FopOf(instruction), segment);
        _nextNote = site;
    }
}
