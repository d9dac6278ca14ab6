namespace Ringfence.Processors.Sensitive;

/// <summary>The start-up IPI (Intel SDM 3A 8.4.3).</summary>
internal static unsafe class StartUp
{
    /// <summary>Starts a processor that waits for it: real mode at vector * 4 KiB.</summary>
    public static void Begin(Processor processor, byte vector)
    {
        VcpuState* s = processor.State;
        ref SegmentRegister cs = ref s->Segment(SegmentIndex.Cs);
        cs.Selector = (ushort)(vector << 8);
        cs.Base = (ulong)vector << 12;
        s->Rip = 0;
        s->Activity = ActivityState.Active;
        processor.Mmu.FlushCodeTlb();
        processor.RefreshMode();
    }
}
