using Ringfence.Memory;

namespace Ringfence.Processors.Sensitive;

/// <summary>The one place where CS, CPL and RIP change together, and the checks of a new CS:RIP (Intel SDM 3A 5.8).</summary>
internal static unsafe class CodeSegment
{
    /// <summary>
    /// Puts a prepared CS in place. Everything derived from it is recomputed, so the caller has changed SS, RFLAGS and control
    /// registers before.
    /// </summary>
    public static void Commit(Processor processor, in SegmentRegister register, int cpl, ulong rip)
    {
        VcpuState* s = processor.State;
        ref SegmentRegister cs = ref s->Segment(SegmentIndex.Cs);
        bool moved = cs.Base != register.Base || cs.Limit != register.Limit;
        cs = register;
        s->Cpl = (byte)cpl;
        s->Rip = rip;
        if (moved) processor.Mmu.FlushCodeTlb();
        processor.RefreshMode();
    }

    /// <summary>CS after a transfer in real-address mode (limit and size stay) or virtual-8086 mode.</summary>
    public static SegmentRegister Real(VcpuState* s, ushort selector) => s->Mode == ProcessorMode.Virtual8086
        ? SegmentLoading.Virtual8086(selector)
        : SegmentLoading.RealMode(in s->Segment(SegmentIndex.Cs), selector);

    /// <summary>The register a code descriptor gives, with CPL in the selector's RPL.</summary>
    public static SegmentRegister Register(in Descriptor descriptor, ushort selector, int cpl) =>
        descriptor.ToRegister((ushort)((selector & 0xfffc) | cpl));

    /// <summary>Would a transfer to this segment enter 64-bit mode?</summary>
    public static bool Is64Bit(VcpuState* s, in SegmentRegister cs) => s->IsLongModeActive && (cs.Attributes & SegmentAttributes.Long) != 0;

    /// <summary>In IA-32e mode a code segment with L and D both set is refused.</summary>
    public static bool HasValidSize(VcpuState* s, in Descriptor descriptor) => !s->IsLongModeActive || !descriptor.IsLong || !descriptor.IsBig;

    /// <summary>
    /// Checks an instruction pointer against the segment it is going to be used with, and cuts it to 32 bits outside 64-bit mode.
    /// False: #GP was raised.
    /// </summary>
    public static bool TryCheckPointer(Processor processor, in SegmentRegister cs, uint external, ref ulong rip)
    {
        if (Is64Bit(processor.State, in cs)) return Mmu.IsCanonical(rip) || Faults.GeneralProtection(processor, external);
        rip = (uint)rip;
        return rip <= cs.Limit || Faults.GeneralProtection(processor, external);
    }
}
