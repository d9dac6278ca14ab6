namespace Ringfence.Processors;

/// <summary>The state after power-on, RESET and INIT (Intel SDM 3A table 9-1).</summary>
internal static unsafe class Reset
{
    /// <summary>Power-on and RESET: everything but the counts of instructions and events.</summary>
    public static void PowerOn(Processor processor)
    {
        VcpuState* s = processor.State;
        s->Star = s->Lstar = s->Cstar = s->Fmask = 0;
        s->SysenterCs = s->SysenterEsp = s->SysenterEip = 0;
        s->KernelGsBase = s->TscAux = s->TscOffset = s->TscAdjust = 0;
        s->MtrrDefaultType = 0;
        for (int i = 0; i < 11; i++) s->MtrrFixed[i] = 0;
        for (int i = 0; i < 16; i++) s->MtrrVariable[i] = 0;
        for (int i = 0; i < 32; i++) s->Xmm[i] = 0;
        for (int i = 0; i < 8; i++)
        {
            s->X87Significand[i] = 0;
            s->X87SignExponent[i] = 0;
        }

        s->X87Status = s->X87Opcode = s->X87InstructionSelector = s->X87DataSelector = 0;
        s->X87Tag = 0;
        s->X87InstructionPointer = s->X87DataPointer = 0;
        s->X87Control = 0x37f;
        s->Mxcsr = 0x1f80;
        s->Pat = 0x0007_0406_0007_0406;
        s->MiscEnable = 1;
        Initialize(processor);
        s->Cr0 = Cr0.Et | Cr0.Nw | Cr0.Cd;
        s->Activity = processor.Index == 0 ? ActivityState.Active : ActivityState.WaitForSipi;
    }

    /// <summary>INIT: as RESET, but x87, SSE, MTRRs and most MSRs keep their values, and so do CR0.CD and CR0.NW.</summary>
    public static void Initialize(Processor processor)
    {
        VcpuState* s = processor.State;
        for (int i = 0; i < 16; i++) s->Gpr[i] = 0;
        s->Gpr[2] = CpuidSignature;
        s->Rip = 0xfff0;
        s->Rflags = RflagsBits.AlwaysOne;
        s->Cr0 = (s->Cr0 & (Cr0.Nw | Cr0.Cd)) | Cr0.Et;
        s->Cr2 = s->Cr3 = s->Cr4 = 0;
        s->Efer = 0;
        s->Dr6 = 0xffff_0ff0;
        s->Dr7 = 0x400;
        for (int i = 0; i < 4; i++) s->DebugAddress[i] = 0;
        s->Gdtr = s->Idtr = new DescriptorTableRegister { Limit = 0xffff };
        const ushort Data = SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.ReadableOrWritable | SegmentAttributes.Accessed;
        for (int i = 0; i < (int)SegmentIndex.Flat; i++) SetSegment(s, (SegmentIndex)i, 0, 0, 0xffff, Data);
        SetSegment(s, SegmentIndex.Cs, 0xf000, 0xffff_0000, 0xffff, Data);
        SetSegment(s, SegmentIndex.Flat, 0, 0, 0xffff_ffff, Data);
        SetSegment(s, SegmentIndex.FlatStack, 0, 0, 0xffff_ffff, Data);
        SetSegment(s, SegmentIndex.Ldtr, 0, 0, 0xffff, SegmentAttributes.Present | 2);
        SetSegment(s, SegmentIndex.Tr, 0, 0, 0xffff, SegmentAttributes.Present | 11);
        s->Cpl = 0;
        s->InterruptShadow = 0;
        s->NmiBlocked = 0;
        s->FaultPending = 0;
        s->DebugHits = 0;
        s->Activity = processor.Index == 0 ? ActivityState.Active : ActivityState.WaitForSipi;
        processor.Mmu.Flush();
        processor.Mmu.FlushCodeTlb();
        processor.RefreshMode();
    }

    /// <summary>Family 6, model 0Fh, stepping 0Bh in EDX and CPUID leaf 1.</summary>
    internal const uint CpuidSignature = 0x0006fb;

    private static void SetSegment(VcpuState* s, SegmentIndex index, ushort selector, ulong @base, uint limit, ushort attributes) =>
        s->Segment(index) = new SegmentRegister(selector, @base, limit, attributes);
}
