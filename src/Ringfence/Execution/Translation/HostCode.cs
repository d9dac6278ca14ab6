using System.Runtime.Intrinsics.X86;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Execution.Translation;

/// <summary>
/// The fixed pieces of host code that fragments are made of, assembled once. A piece with a hole ends in the four bytes that are filled in.
/// <para>
/// Host registers: RAX to R11 hold the guest's registers of the same name, except RSP, which is in R12; R12 to R15 of the guest stay in
/// the state. R13, R14 and R15 are scratch. The host's RSP stays a valid host stack. GS addresses the state.
/// </para>
/// </summary>
internal sealed class HostCode
{
    private readonly Dictionary<int, Probe> _probes = [];
    private readonly Dictionary<(Register Register, int Offset, bool Load), byte[]> _moves = [];

    public HostCode()
    {
        SaveFlags = Assemble(c =>
        {
            c.mov(r14, rax);
            c.lahf();
            c.seto(al);
            c.mov(__word_ptr.gs[StateOffsets.Flags], ax);
            c.mov(rax, r14);
        });
        RestoreFlags = Assemble(c =>
        {
            c.mov(r14, rax);
            c.movzx(eax, __word_ptr.gs[StateOffsets.Flags]);
            c.add(al, 127);
            c.sahf();
            c.mov(rax, r14);
        });
        Poll = Assemble(c => c.mov(r14, __qword_ptr.gs[StateOffsets.Poll]));
        PollLoad = Assemble(c => c.mov(r14d, __dword_ptr[r14]));
        LookUp = Assemble(c =>
        {
            c.movzx(r14d, r15w);
            c.mov(r13, __qword_ptr.gs[StateOffsets.JumpTable]);
            c.jmp(__qword_ptr[r13 + (r14 * 8)]);
        });
        LookUpConstant = Assemble(c =>
        {
            c.mov(r13, __qword_ptr.gs[StateOffsets.JumpTable]);
            c.jmp(__qword_ptr[r13 + 0x11223344]);
        });
        SetIndirectSite = Assemble(c => c.mov(__qword_ptr.gs[StateOffsets.IndirectSite], 0x11223344));
        PushSite = [0x68, 0, 0, 0, 0];
        Jump = [0xe9, 0, 0, 0, 0];
        JumpIfNotEqual = [0x0f, 0x85, 0, 0, 0, 0];
        JumpIfAbove = [0x0f, 0x87, 0, 0, 0, 0];
        JumpIfAboveOrEqual = [0x0f, 0x83, 0, 0, 0, 0];
        CompareTarget32 = Assemble(c => c.cmp(r15, 0x11223344));
        CompareTarget = Assemble(c => c.cmp(r15, r14));
        CompareEpoch = Assemble(c => c.cmp(r14d, __dword_ptr.gs[StateOffsets.CodeEpoch]));
        CompareGlobalEpoch = Assemble(c => c.cmp(r14d, __dword_ptr.gs[StateOffsets.GlobalCodeEpoch]));
        CheckCanonical = Assemble(c =>
        {
            c.mov(r15, r14);
            c.shl(r15, 16);
            c.sar(r15, 16);
            c.cmp(r15, r14);
        });
        StoreTarget = Assemble(c => c.mov(__qword_ptr.gs[StateOffsets.Target], r14));
        LoadTarget = Assemble(c => c.mov(r15, __qword_ptr.gs[StateOffsets.Target]));
        StoreTransfer = Assemble(c => c.mov(__qword_ptr.gs[StateOffsets.Transfer], r14));
        LoadTransfer = Assemble(c => c.mov(r14, __qword_ptr.gs[StateOffsets.Transfer]));
        CountCompare = Assemble(c =>
        {
            c.mov(r14, __qword_ptr.gs[StateOffsets.InstructionCount]);
            c.cmp(r14, __qword_ptr.gs[StateOffsets.InstructionLimit]);
        });
        AddToCount = Assemble(c => c.lea(r14, __qword_ptr[r14 + 0x11223344]));
        LoadDelta =
        [
            Assemble(c => c.mov(r13, __qword_ptr.gs[StateOffsets.WindowDelta(0)])),
            Assemble(c => c.mov(r15, __qword_ptr.gs[StateOffsets.WindowDelta(1)])),
        ];
        ClearInterrupts = Assemble(c =>
        {
            c.and(__dword_ptr.gs[StateOffsets.SystemFlags], ~0x200);
            c.and(__dword_ptr.gs[StateOffsets.EventMask], ~Processors.ProcessorEvents.Interrupt);
        });
        CheckX87 = Assemble(c => c.test(__dword_ptr.gs[StateOffsets.SimdUnavailable], 0xff02));
        NoteX87 = Assemble(c => c.mov(__dword_ptr.gs[StateOffsets.X87Note], 0x11223344));
        NoteX87Data = Assemble(c => c.mov(__dword_ptr.gs[StateOffsets.X87DataNote], 0x11223344));
        CompareEvents = Assemble(c => c.cmp(__dword_ptr.gs[StateOffsets.Events], 0));
        SetInterrupts = Assemble(c =>
        {
            c.or(__dword_ptr.gs[StateOffsets.SystemFlags], 0x200);
            c.or(__dword_ptr.gs[StateOffsets.EventMask], Processors.ProcessorEvents.Interrupt);
        });
    }

    /// <summary>Status flags from the host's to the state. Changes R14.</summary>
    public byte[] SaveFlags { get; }

    /// <summary>Status flags from the state to the host's. Changes R14.</summary>
    public byte[] RestoreFlags { get; }

    /// <summary>First half of a look for events; touches no flags.</summary>
    public byte[] Poll { get; }

    /// <summary>Second half: faults when there is one.</summary>
    public byte[] PollLoad { get; }

    /// <summary>Jumps to the fragment of the address in R15.</summary>
    public byte[] LookUp { get; }

    /// <summary>Jumps to the fragment of a constant address in R15. Hole: eight times the address's low 16 bits.</summary>
    public byte[] LookUpConstant { get; }

    /// <summary>Remembers the site of an indirect transfer. Hole: the site.</summary>
    public byte[] SetIndirectSite { get; }

    /// <summary>Pushes a site for an exit. Hole: the site.</summary>
    public byte[] PushSite { get; }

    /// <summary>JMP.</summary>
    public byte[] Jump { get; }

    /// <summary>JNE.</summary>
    public byte[] JumpIfNotEqual { get; }

    /// <summary>JA.</summary>
    public byte[] JumpIfAbove { get; }

    /// <summary>JAE.</summary>
    public byte[] JumpIfAboveOrEqual { get; }

    /// <summary>Compares R15 with a sign-extended constant, the hole.</summary>
    public byte[] CompareTarget32 { get; }

    /// <summary>Compares R15 with R14.</summary>
    public byte[] CompareTarget { get; }

    /// <summary>Compares R14D with the processor's epoch.</summary>
    public byte[] CompareEpoch { get; }

    /// <summary>Compares R14D with the processor's epoch of global pages.</summary>
    public byte[] CompareGlobalEpoch { get; }

    /// <summary>"Not equal" if R14 is not canonical. Changes R15.</summary>
    public byte[] CheckCanonical { get; }

    public byte[] StoreTarget { get; }

    public byte[] LoadTarget { get; }

    public byte[] StoreTransfer { get; }

    public byte[] LoadTransfer { get; }

    /// <summary>R14 = instruction count, compared with the limit.</summary>
    public byte[] CountCompare { get; }

    /// <summary>R14 += hole; no flags.</summary>
    public byte[] AddToCount { get; }

    /// <summary>Load the windows' deltas to the registers that hold them in traces.</summary>
    public byte[][] LoadDelta { get; }

    /// <summary>
    /// "Not equal" if CR0.EM or CR0.TS is set or the x87 registers are in the state: <see cref="Processors.VcpuState.SimdUnavailable"/> and
    /// <see cref="Processors.VcpuState.X87InState"/> behind it in one test.
    /// </summary>
    public byte[] CheckX87 { get; }

    /// <summary>Notes the last numeric x87 instruction. Hole: its site.</summary>
    public byte[] NoteX87 { get; }

    /// <summary>Notes the last numeric x87 instruction with a memory operand. Hole: its site.</summary>
    public byte[] NoteX87Data { get; }

    public byte[] ClearInterrupts { get; }

    public byte[] CompareEvents { get; }

    public byte[] SetInterrupts { get; }

    /// <summary>Loads a register from the state.</summary>
    public byte[] Load(Register register, int offset) => Move(register, offset, load: true);

    /// <summary>Stores a register to the state.</summary>
    public byte[] Store(int offset, Register register) => Move(register, offset, load: false);

    private byte[] Move(Register register, int offset, bool load)
    {
        (Register Register, int Offset, bool Load) key = (register, offset, load);
        if (_moves.TryGetValue(key, out byte[]? code)) return code;
        var host = new AssemblerRegister64(register);
        code = Assemble(c =>
        {
            if (load) c.mov(host, __qword_ptr.gs[offset]);
            else c.mov(__qword_ptr.gs[offset], host);
        });
        _moves.Add(key, code);
        return code;
    }

    /// <summary>The TLB probe for an access.</summary>
    /// <param name="address">Register that holds the linear address.</param>
    /// <param name="size">Bytes of the access.</param>
    /// <param name="write">Write or read-modify-write.</param>
    /// <param name="table">TLB table.</param>
    public Probe ProbeFor(Register address, int size, bool write, int table)
    {
        int key = ((int)address << 8) | (size << 3) | (table << 1) | (write ? 1 : 0);
        if (_probes.TryGetValue(key, out Probe? probe)) return probe;
        probe = MakeProbe(new AssemblerRegister64(address), size, write, table);
        _probes.Add(key, probe);
        return probe;
    }

    /// <summary>Assembles a piece.</summary>
    public static byte[] Assemble(Action<Assembler> code)
    {
        var assembler = new Assembler(64);
        code(assembler);
        var bytes = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(bytes), 0);
        return bytes.ToArray();
    }

    private static Probe MakeProbe(AssemblerRegister64 address, int size, bool write, int table)
    {
        const int EntryShift = 5;
        const int IndexMask = ((1 << Memory.TlbEntry.CountLog2) - 1) << EntryShift;
        byte[] compare = Assemble(c =>
        {
            var low = new AssemblerRegister32((Register)address - Register.RAX + Register.EAX);
            if (Bmi2.IsSupported)
            {
                c.rorx(r13d, low, 12 - EntryShift);
            }
            else
            {
                c.mov(r13d, low);
                c.shr(r13d, 12 - EntryShift);
            }

            c.and(r13d, IndexMask);
            if (size > 1) c.lea(r14, __[address + (size - 1)]);
            else c.mov(r14, address);
            c.and(r14, -4096);
            c.or(r14, __qword_ptr.gs[StateOffsets.AddressSpaceTag]);
            c.cmp(r14, __qword_ptr.gs[r13 + StateOffsets.Tlb(table, write)]);
        });
        byte[] addend = Assemble(c => c.mov(r13, __qword_ptr.gs[r13 + StateOffsets.TlbAddend(table)]));
        return new Probe(compare, addend);
    }
}

/// <summary>The two halves of a TLB probe: what ends in a comparison, and what loads host minus guest address to R13.</summary>
/// <param name="Compare">Changes R13, R14 and the flags; "not equal" means the slow path.</param>
/// <param name="Addend">After a hit.</param>
internal sealed record Probe(byte[] Compare, byte[] Addend);
