using System.Runtime.CompilerServices;
using Ringfence.Processors;

namespace Ringfence.Virtualizability.Model;

/// <summary>
/// The elements of a processor's state, in a fixed order: the program's first. In 16-bit modes a segment register is a program's own, as are FS and GS base in
/// 64-bit mode: any value goes, nothing is looked up and nothing protected. The selectors that x87 instructions leave behind are
/// no elements: they count where an instruction shows them.
/// </summary>
internal sealed unsafe class ModelElements
{
    private const int GeneralRegisters = 16;
    private const int DataWords = ModelLayout.DataBytes / 8;
    private const int StackWords = (ModelLayout.StackBelow + ModelLayout.StackAbove) / 8;
    private const ulong ProgramFlags = RflagsBits.Tf | RflagsBits.Df | RflagsBits.Nt | RflagsBits.Ac | RflagsBits.Id;

    private static readonly string[] Long = ["RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"];
    private static readonly string[] Segments = ["ES", "CS", "SS", "DS", "FS", "GS"];

    private readonly List<MachineElement> _elements = [];
    private readonly bool _isPaged;
    private readonly bool _isLong;

    /// <summary>Makes the list of a mode.</summary>
    public ModelElements(AnalysisMode mode)
    {
        _isLong = mode == AnalysisMode.Long;
        _isPaged = mode is AnalysisMode.Protected or AnalysisMode.Long;
        for (int i = 0; i < GeneralRegisters; i++)
        {
            string name = _isLong || i >= 8 ? Long[i] : "E" + Long[i][1..];
            Add(name, ElementClass.Program);
        }

        Add(_isLong ? "RIP" : "EIP", ElementClass.Program);
        Add("flags of the program", ElementClass.Program, "EFLAGS");
        foreach (string name in (string[])["x87 control, status and tags", "x87 registers", "x87 instruction pointer", "x87 data pointer", "MXCSR", "XMM registers"])
            Add(name, ElementClass.Program);
        if (!_isPaged)
            foreach (string name in Segments) Add(name, ElementClass.Program);
        if (_isLong)
        {
            Add("FS base", ElementClass.Program);
            Add("GS base", ElementClass.Program);
        }

        string source = _isLong ? "RSI" : _isPaged ? "ESI" : "SI";
        string stack = _isLong ? "RSP" : _isPaged ? "ESP" : "SP";
        for (int i = 0; i < DataWords; i++) Add($"memory at {source}+{i * 8}", ElementClass.Program, "memory");
        for (int i = 0; i < StackWords; i++)
        {
            int offset = (i * 8) - ModelLayout.StackBelow;
            Add($"memory at {stack}{(offset < 0 ? "" : "+")}{offset}", ElementClass.Program, "memory");
        }

        AddHidden();
    }

    /// <summary>The elements.</summary>
    public IReadOnlyList<MachineElement> Elements => _elements;

    /// <summary>Reads them all.</summary>
    /// <param name="s">The processor.</param>
    /// <param name="bus">Its surroundings.</param>
    /// <param name="data">The data window.</param>
    /// <param name="stack">The stack window.</param>
    /// <param name="tables">Stands for what has been changed in descriptor tables and task state segments.</param>
    /// <param name="values">Receives them.</param>
    public void Read(VcpuState* s, in ModelBusState bus, ulong* data, ulong* stack, ulong tables, Span<ulong> values)
    {
        var writer = new Writer(values);
        for (int i = 0; i < GeneralRegisters; i++) writer.Add(s->Gpr[i]);
        ulong flags = s->Rflags;
        writer.Add(s->Rip);
        writer.Add(flags & (RflagsBits.Status | ProgramFlags));
        writer.Add(s->X87Control | ((ulong)s->X87Status << 16) | ((ulong)s->X87Tag << 32) | ((ulong)s->X87Opcode << 48));
        writer.Add(Mix(s->X87Significand, 8) ^ Mix((ulong*)s->X87SignExponent, 2));
        writer.Add(s->X87InstructionPointer);
        writer.Add(s->X87DataPointer);
        writer.Add(s->Mxcsr);
        writer.Add(Mix(s->Xmm, 32));
        if (!_isPaged)
            for (int i = 0; i < 6; i++) writer.Add(s->Segments[i].Selector);
        if (_isLong)
        {
            writer.Add(s->Segment(SegmentIndex.Fs).Base);
            writer.Add(s->Segment(SegmentIndex.Gs).Base);
        }

        writer.Add(data, DataWords);
        writer.Add(stack, StackWords);
        ReadHidden(s, bus, tables, flags, ref writer);
    }

    private static ulong Mix(ulong* words, int count)
    {
        ulong hash = 0xcbf2_9ce4_8422_2325;
        for (int i = 0; i < count; i++) hash = (hash ^ words[i]) * 0x100_0000_01b3 ^ (hash >> 29);
        return hash;
    }

    private void Add(string name, ElementClass kind, string? register = null) => _elements.Add(new MachineElement(name, kind, register ?? name));

    private void AddHidden()
    {
        const ElementClass Register = ElementClass.SensitiveRegister;
        const ElementClass Map = ElementClass.Protection;
        Add("CPL", ElementClass.Mode);
        Add("processor mode", ElementClass.Mode);
        Add("EFLAGS.IF", Register);
        Add("EFLAGS.IOPL", Register);
        Add("EFLAGS.VIF and VIP", Register);
        foreach (string name in (string[])
            [
                "CR0", "CR2", "CR4", "CR8", "IA32_EFER", "DR0", "DR1", "DR2", "DR3", "DR6", "DR7", "IA32_STAR", "IA32_LSTAR", "IA32_CSTAR", "IA32_FMASK",
                "IA32_KERNEL_GS_BASE", "IA32_SYSENTER_CS", "IA32_SYSENTER_ESP", "IA32_SYSENTER_EIP", "time-stamp counter", "IA32_TSC_AUX", "IA32_PAT",
                "IA32_MISC_ENABLE", "MTRRs", "IA32_APIC_BASE",
            ]) Add(name, Register);
        if (_isPaged)
        {
            for (int i = 0; i < 6; i++)
            {
                Add($"{Segments[i]} selector", Map, Segments[i]);
                if (!_isLong || i < 4) Add($"{Segments[i]} base", Map, Segments[i]);
                Add($"{Segments[i]} limit and attributes", Map, Segments[i]);
            }
        }
        else
        {
            for (int i = 0; i < 6; i++) Add($"{Segments[i]} limit", Map, Segments[i]);
        }

        foreach (string name in (string[])["GDTR", "IDTR"])
        {
            Add($"{name} base", Map, name);
            Add($"{name} limit", Map, name);
        }

        foreach (string name in (string[])["LDTR", "TR"])
        {
            Add($"{name} selector", Map, name);
            Add($"{name} base", Map, name);
        }

        Add("CR3", Map);
        Add("descriptor tables and task state", Map);
        Add("accesses to ports", ElementClass.InputOutput, "ports");
        Add("activity state", ElementClass.InputOutput);
    }

    private void ReadHidden(VcpuState* s, in ModelBusState bus, ulong tables, ulong flags, ref Writer writer)
    {
        writer.Add(s->Cpl);
        writer.Add((ulong)s->Mode);
        writer.Add((flags & RflagsBits.If) >> 9);
        writer.Add((flags & RflagsBits.Iopl) >> 12);
        writer.Add(flags & (RflagsBits.Vif | RflagsBits.Vip));
        writer.Add(s->Cr0);
        writer.Add(s->Cr2);
        writer.Add(s->Cr4);
        writer.Add(bus.TaskPriority);
        writer.Add(s->Efer);
        writer.Add(s->DebugAddress, 4);
        writer.Add(s->Dr6);
        writer.Add(s->Dr7);
        writer.Add(s->Star);
        writer.Add(s->Lstar);
        writer.Add(s->Cstar);
        writer.Add(s->Fmask);
        writer.Add(s->KernelGsBase);
        writer.Add(s->SysenterCs);
        writer.Add(s->SysenterEsp);
        writer.Add(s->SysenterEip);
        writer.Add(s->TscOffset);
        writer.Add(s->TscAux);
        writer.Add(s->Pat);
        writer.Add(s->MiscEnable);
        writer.Add(Mix(s->MtrrFixed, 11) ^ Mix(s->MtrrVariable, 16) ^ s->MtrrDefaultType);
        writer.Add(bus.ApicBase);
        for (int i = 0; i < 6; i++)
        {
            ref SegmentRegister segment = ref s->Segments[i];
            if (_isPaged)
            {
                writer.Add(segment.Selector);
                if (!_isLong || i < 4) writer.Add(segment.Base);
                writer.Add(segment.Limit | ((ulong)segment.Attributes << 32));
            }
            else
            {
                writer.Add(segment.Limit);
            }
        }

        writer.Add(s->Gdtr.Base);
        writer.Add(s->Gdtr.Limit);
        writer.Add(s->Idtr.Base);
        writer.Add(s->Idtr.Limit);
        writer.Add(s->Segment(SegmentIndex.Ldtr).Selector);
        writer.Add(s->Segment(SegmentIndex.Ldtr).Base);
        writer.Add(s->Segment(SegmentIndex.Tr).Selector);
        writer.Add(s->Segment(SegmentIndex.Tr).Base);
        writer.Add(s->Cr3);
        writer.Add(tables);
        writer.Add(bus.Accesses);
        writer.Add((ulong)s->Activity);
    }

    private ref struct Writer(Span<ulong> values)
    {
        private readonly Span<ulong> _values = values;
        private int _next;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Add(ulong value) => _values[_next++] = value;

        public void Add(ulong* words, int count)
        {
            new ReadOnlySpan<ulong>(words, count).CopyTo(_values[_next..]);
            _next += count;
        }
    }
}
