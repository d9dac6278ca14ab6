using Ringfence.Processors;
using static Ringfence.Virtualizability.Model.ModelLayout;

namespace Ringfence.Virtualizability.Model;

/// <summary>The processor's state in an environment, before operands are put into it.</summary>
internal static unsafe class ModelState
{
    /// <summary>CR0's lower half as SMSW shows it.</summary>
    public const ulong MachineStatus = Cr0.Pe | Cr0.Mp | Cr0.Et | Cr0.Ne;

    private const ulong Offset = 0x1000;
    private const ushort Usable3 = 0xc0f3;

    /// <summary>CR0 of the environments of a mode.</summary>
    public static ulong ControlRegister0(AnalysisMode mode) =>
        mode == AnalysisMode.Real ? Cr0.Mp | Cr0.Et | Cr0.Ne : MachineStatus | Cr0.Wp | Cr0.Am | Cr0.Pg;

    /// <summary>CR4 of the environments of a mode.</summary>
    public static ulong ControlRegister4(AnalysisMode mode, bool umip)
    {
        ulong value = Cr4.Tsd | Cr4.Osfxsr | Cr4.Osxmmexcpt;
        if (umip) value |= Cr4.Umip;
        return mode == AnalysisMode.Long ? value | Cr4.Pae | Cr4.Fsgsbase : value;
    }

    /// <summary>CR3 of the page tables that lead to the other frames.</summary>
    public static ulong OtherPageTables(AnalysisMode mode) => mode == AnalysisMode.Real ? 0 : ModelRegion.Other.PageTables;

    /// <summary>Where the program lies in an environment.</summary>
    public static ModelRegion RegionOf(AnalysisMode mode, EnvironmentSettings settings) =>
        IsReal(mode, settings) ? ModelRegion.Real : settings.IsInOtherFrames ? ModelRegion.Other : ModelRegion.Usual;

    /// <summary>Is it real-address mode?</summary>
    public static bool IsReal(AnalysisMode mode, EnvironmentSettings settings) =>
        mode == AnalysisMode.Real || (mode == AnalysisMode.Virtual8086 && settings.Level == 0);

    /// <summary>Makes a processor's state that of an environment.</summary>
    public static void Set(Processor processor, AnalysisMode mode, bool umip, EnvironmentSettings settings)
    {
        VcpuState* s = processor.State;
        bool isLong = mode == AnalysisMode.Long;
        bool isReal = IsReal(mode, settings);
        SetProgram(s, mode);
        s->SystemFlags = RflagsBits.AlwaysOne | (settings.Interrupts ? RflagsBits.If : 0) | ((ulong)settings.Iopl << 12);
        if (mode == AnalysisMode.Virtual8086 && !isReal) s->SystemFlags |= RflagsBits.Vm;
        s->Cpl = (byte)settings.Level;
        s->Cr0 = ControlRegister0(isReal ? AnalysisMode.Real : mode) ^ settings.Cr0;
        s->Cr3 = isReal ? 0 : RegionOf(mode, settings).PageTables;
        s->Cr4 = ControlRegister4(mode, umip) ^ settings.Cr4;
        s->Efer = (isLong ? Efer.Lme | Efer.Lma | Efer.Sce : 0) ^ settings.Efer;
        s->Gdtr = new DescriptorTableRegister { Base = settings.GdtBase, Limit = TableBytes - 1 };
        s->Idtr = new DescriptorTableRegister { Base = settings.IdtBase, Limit = 0x47f };
        Load(s, SegmentIndex.Tr, settings.TssSelector, settings.TssSelector == TssSelector ? Tss : OtherTss, 0x69, 0x8b);
        Load(s, SegmentIndex.Ldtr, settings.LdtSelector, settings.LdtSelector == LdtSelector ? Ldt : OtherLdt, TableBytes - 1, 0x82);
        if (mode is AnalysisMode.Real or AnalysisMode.Virtual8086) SetRealSegments(s, isReal);
        else SetSegments(s, isLong, settings);
        // The program has executed an x87 instruction where it runs now.
        s->X87InstructionSelector = s->Segment(SegmentIndex.Cs).Selector;
        s->X87DataSelector = s->Segment(SegmentIndex.Ds).Selector;
        SetSystemRegisters(s, mode, settings);
        processor.Mmu.Flush();
        processor.RefreshMode();
    }

    /// <summary>What is outside the processor in an environment.</summary>
    public static ModelBusState BusOf(EnvironmentSettings settings) => new()
    {
        PortValue = settings.Changed == SystemRegister.Ports ? 0x5555_5555 : 0xaaaa_aaaa,
        TaskPriority = settings.Changed == SystemRegister.Cr8 ? 5UL : 2,
        ApicBase = settings.Changed == SystemRegister.ApicBase ? 0xfee0_0000 : 0xfee0_0800,
    };

    private static void SetProgram(VcpuState* s, AnalysisMode mode)
    {
        const ulong One = 0x8000_0000_0000_0000;
        const ushort OnesExponent = 0x3fff;
        const int Full = 4;
        bool narrow = mode is AnalysisMode.Real or AnalysisMode.Virtual8086;
        s->Rip = narrow ? CodeOffset : CodePage + CodeOffset;
        s->X87Control = 0x37f;
        s->X87Tag = (1 << Full) - 1;
        for (int i = 0; i < Full; i++)
        {
            s->X87Significand[i] = One;
            s->X87SignExponent[i] = OnesExponent;
        }

        s->X87InstructionPointer = s->Rip - 0x10;
        s->X87DataPointer = narrow ? DataOffset : DataPage + DataOffset;
        s->X87Opcode = 0x100;
        s->Mxcsr = 0x1f80;
        for (int i = 0; i < 32; i++) s->Xmm[i] = BitConverter.DoubleToUInt64Bits(i + 1);
    }

    private static void SetRealSegments(VcpuState* s, bool isReal)
    {
        for (SegmentIndex index = SegmentIndex.Es; index <= SegmentIndex.Gs; index++)
        {
            uint start = index switch { SegmentIndex.Cs => RealCode, SegmentIndex.Ss => RealStack, _ => RealData };
            Load(s, index, (ushort)(start >> 4), start, 0xffff, (ushort)(isReal ? 0x93 : 0xf3));
        }
    }

    private static void SetSegments(VcpuState* s, bool isLong, EnvironmentSettings settings)
    {
        (ushort code, ushort stack) = settings.Level switch
        {
            0 => (isLong ? LongCode0 : Code0, Data0),
            1 => (Code1, Data1),
            2 => (Code2, Data2),
            _ => (isLong ? LongCode3 : Code3, Data3),
        };
        int level = settings.Level << 5;
        ushort table = (ushort)(settings.UsesLdt ? 4 : 0);
        Load(s, SegmentIndex.Cs, (ushort)(code | table), settings.SegmentBase, uint.MaxValue, (ushort)((isLong ? 0xa09b : 0xc09b) | level));
        Load(s, SegmentIndex.Ss, (ushort)(stack | table), settings.SegmentBase, uint.MaxValue, (ushort)(0xc093 | level));
        foreach (SegmentIndex index in (ReadOnlySpan<SegmentIndex>)[SegmentIndex.Es, SegmentIndex.Ds, SegmentIndex.Fs, SegmentIndex.Gs])
            Load(s, index, (ushort)(Data3 | table), settings.SegmentBase, uint.MaxValue, Usable3);
        if (!isLong) return;
        s->Segment(SegmentIndex.Fs).Base = DataPage + 0x40;
        s->Segment(SegmentIndex.Gs).Base = DataPage + 0x80;
    }

    private static void SetSystemRegisters(VcpuState* s, AnalysisMode mode, EnvironmentSettings settings)
    {
        s->Cr2 = Value(SystemRegister.Cr2);
        for (int i = 0; i < 4; i++) s->DebugAddress[i] = Value(SystemRegister.Debug) + (ulong)i;
        s->Dr6 = 0xffff_0ff0 | (settings.Changed == SystemRegister.Debug ? 1UL : 0);
        s->Dr7 = 0x400;
        s->SysenterCs = mode == AnalysisMode.Virtual8086 ? 0 : (ulong)(mode == AnalysisMode.Long ? LongCode0 : Code0);
        s->SysenterEsp = InnerStacks + Value(SystemRegister.Sysenter);
        s->SysenterEip = Handlers + Value(SystemRegister.Sysenter);
        s->Star = ((ulong)Code3 << 48) | ((ulong)LongCode0 << 32) | Value(SystemRegister.Syscall);
        s->Lstar = Handlers + Value(SystemRegister.Syscall);
        s->Cstar = Handlers + Value(SystemRegister.Syscall);
        s->Fmask = RflagsBits.If | RflagsBits.Df | (settings.Changed == SystemRegister.Syscall ? RflagsBits.Ac : 0);
        s->KernelGsBase = Value(SystemRegister.KernelGsBase);
        s->TscAux = Value(SystemRegister.TscAux);
        s->TscOffset = settings.TimestampOffset;
        s->Pat = settings.Changed == SystemRegister.Pat ? 0x0606_0606_0606_0606UL : 0x0007_0406_0007_0406;
        s->MiscEnable = settings.Changed == SystemRegister.MiscEnable ? 1UL | (1 << 22) : 1;
        s->MtrrDefaultType = settings.Changed == SystemRegister.Mtrr ? 0xc06UL : 0x806;

        ulong Value(SystemRegister register) => settings.Changed == register ? 2 * Offset : Offset;
    }

    private static void Load(VcpuState* s, SegmentIndex index, ushort selector, uint start, uint limit, ushort attributes) =>
        s->Segment(index) = new SegmentRegister(selector, start, limit, attributes);
}
