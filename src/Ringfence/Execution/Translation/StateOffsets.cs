using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Execution.Translation;

/// <summary>Where emitted code finds the fields of the state, relative to the GS base; derived from the structures.</summary>
internal static unsafe class StateOffsets
{
    static StateOffsets()
    {
        VcpuState state;
        VcpuState* s = &state;
        byte* start = (byte*)s;
        Flags = (int)((byte*)&s->Native.Flags - start);
        FaultFlags = (int)((byte*)&s->Native.FaultFlags - start);
        CodeEpoch = (int)((byte*)&s->Native.CodeEpoch - start);
        GlobalCodeEpoch = (int)((byte*)&s->Native.GlobalCodeEpoch - start);
        ExitSite = (int)((byte*)&s->Native.ExitSite - start);
        IndirectSite = (int)((byte*)&s->Native.IndirectSite - start);
        Target = (int)((byte*)&s->Native.Target - start);
        Address = (int)((byte*)&s->Native.Address - start);
        EntryPoint = (int)((byte*)&s->Native.EntryPoint - start);
        Poll = (int)((byte*)&s->Native.Poll - start);
        JumpTable = (int)((byte*)&s->Native.JumpTable - start);
        HostMxcsr = (int)((byte*)&s->Native.HostMxcsr - start);
        Fault = (int)((byte*)&s->Native.Fault - start);
        Mxcsr = (int)((byte*)&s->Mxcsr - start);
        SimdUnavailable = (int)((byte*)&s->SimdUnavailable - start);
        X87Note = (int)((byte*)&s->Native.X87Note - start);
        X87DataNote = (int)((byte*)&s->Native.X87DataNote - start);
        X87DataOffset = (int)((byte*)&s->Native.X87DataOffset - start);
        InstructionCount = (int)((byte*)&s->InstructionCount - start);
        InstructionLimit = (int)((byte*)&s->InstructionLimit - start);
        Events = (int)((byte*)&s->Events - start);
        EventMask = (int)((byte*)&s->EventMask - start);
        SystemFlags = (int)((byte*)&s->SystemFlags - start);
        Mode = (int)((byte*)&s->Native.Mode - start);
        Scratch = (int)((byte*)&s->Native.Scratch - start);
        CurrentTlb = (int)((byte*)&s->Tlb - start);
        KernelGsBase = (int)((byte*)&s->KernelGsBase - start);
        Cr0 = (int)((byte*)&s->Cr0 - start);
        Cr2 = (int)((byte*)&s->Cr2 - start);
        Cr3 = (int)((byte*)&s->Cr3 - start);
        Cr4 = (int)((byte*)&s->Cr4 - start);
        AddressSpaceTag = (int)((byte*)&s->AddressSpaceTag - start);
        Transfer = (int)((byte*)s->Transfer - start);
        FirstWindowSlot = (int)((byte*)s->Native.WindowSlot - start);
        FirstWindowDelta = (int)((byte*)s->Native.WindowDelta - start);
        FirstLent = (int)((byte*)s->Native.Lent - start);
        FirstFaultScratch = (int)((byte*)s->Native.FaultScratch - start);
        FirstXmm = (int)((byte*)s->Xmm - start);
        Segments = (int)((byte*)&s->Segments - start);
        SegmentRegister segment;
        SelectorField = (int)((byte*)&segment.Selector - (byte*)&segment);
        SegmentBaseField = (int)((byte*)&segment.Base - (byte*)&segment);
        ReadEndField = (int)((byte*)&segment.ReadEnd - (byte*)&segment);
        WriteEndField = (int)((byte*)&segment.WriteEnd - (byte*)&segment);
        TlbEntry entry;
        ReadTagField = (int)((byte*)&entry.ReadTag - (byte*)&entry);
        WriteTagField = (int)((byte*)&entry.WriteTag - (byte*)&entry);
        AddendField = (int)((byte*)&entry.Addend - (byte*)&entry);
    }

    public static int Flags { get; }

    public static int FaultFlags { get; }

    public static int CodeEpoch { get; }

    public static int GlobalCodeEpoch { get; }

    public static int ExitSite { get; }

    public static int IndirectSite { get; }

    public static int Target { get; }

    public static int Address { get; }

    public static int EntryPoint { get; }

    public static int Poll { get; }

    public static int JumpTable { get; }

    public static int HostMxcsr { get; }

    public static int Fault { get; }

    public static int Mxcsr { get; }

    public static int SimdUnavailable { get; }

    public static int X87Note { get; }

    public static int X87DataNote { get; }

    public static int X87DataOffset { get; }

    public static int InstructionCount { get; }

    public static int InstructionLimit { get; }

    public static int Events { get; }

    public static int EventMask { get; }

    public static int SystemFlags { get; }

    public static int Mode { get; }

    public static int Scratch { get; }

    public static int CurrentTlb { get; }

    public static int KernelGsBase { get; }

    public static int Cr0 { get; }

    public static int Cr2 { get; }

    public static int Cr3 { get; }

    public static int Cr4 { get; }

    public static int AddressSpaceTag { get; }

    public static int Transfer { get; }

    private static int FirstWindowSlot { get; }

    private static int FirstWindowDelta { get; }

    private static int FirstLent { get; }

    private static int FirstFaultScratch { get; }

    private static int FirstXmm { get; }

    private static int Segments { get; }

    private static int SelectorField { get; }

    private static int SegmentBaseField { get; }

    private static int ReadEndField { get; }

    private static int WriteEndField { get; }

    private static int ReadTagField { get; }

    private static int WriteTagField { get; }

    private static int AddendField { get; }

    public static int Gpr(int number) => number * sizeof(ulong);

    public static int WindowSlot(int window) => FirstWindowSlot + (window * sizeof(uint));

    public static int WindowDelta(int window) => FirstWindowDelta + (window * sizeof(ulong));

    public static int Lent(int promotion) => FirstLent + (promotion * sizeof(ulong));

    public static int FaultScratch(int register) => FirstFaultScratch + (register * sizeof(ulong));

    public static int Xmm(int number) => FirstXmm + (number * 16);

    public static int SegmentBase(SegmentIndex segment) => Segments + ((int)segment * sizeof(SegmentRegister)) + SegmentBaseField;

    public static int Selector(SegmentIndex segment) => Segments + ((int)segment * sizeof(SegmentRegister)) + SelectorField;

    public static int SegmentEnd(SegmentIndex segment, bool write) =>
        Segments + ((int)segment * sizeof(SegmentRegister)) + (write ? WriteEndField : ReadEndField);

    /// <summary>Displacement of a tag of the first entry of a TLB table.</summary>
    public static int Tlb(int table, bool write) => TlbTable(table) + (write ? WriteTagField : ReadTagField);

    /// <summary>Displacement of the addend of the first entry of a TLB table.</summary>
    public static int TlbAddend(int table) => TlbTable(table) + AddendField;

    /// <summary>Displacement of a TLB table.</summary>
    public static int TlbTable(int table) => (int)Processor.TlbOffset + (table * sizeof(TlbEntry) << TlbEntry.CountLog2);
}
