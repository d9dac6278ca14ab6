using Ringfence.Memory;

namespace Ringfence.Processors.Sensitive;

/// <summary>
/// RDMSR and WRMSR (Intel SDM 4 chapter 2). A register that CPUID does not promise does not exist: #GP, with these exceptions, which kernels
/// access on a family 6 processor without asking CPUID:
/// IA32_P5_MC_ADDR and IA32_P5_MC_TYPE (read 0), IA32_PLATFORM_ID (0), IA32_BIOS_UPDT_TRIG (ignored: the update is "installed"),
/// IA32_BIOS_SIGN_ID (revision 1), IA32_DEBUGCTL (no branch recording: reads 0), IA32_MISC_ENABLE.
/// </summary>
internal static unsafe class ModelSpecificRegisters
{
    private const int VariableMtrrs = 8;
    private const ulong MtrrCapabilities = VariableMtrrs | (1 << 8) | (1 << 10);
    private const ulong PhysicalMask = (1UL << PhysicalMemory.AddressBits) - 1;
    private const ulong MicrocodeRevision = 1UL << 32;

    /// <summary>Branch trace storage and precise events are unavailable: read-only ones.</summary>
    private const ulong MiscEnableOnes = (1 << 11) | (1 << 12);
    private const ulong MiscEnableChangeable = 1 | (1 << 3) | (1 << 16) | (1 << 18) | (1 << 22) | (1 << 23) | (1UL << 34);

    /// <summary>
    /// IA32_ARCH_CAPABILITIES: a processor that never speculates has none of the flaws with an "is not affected" bit: RDCL_NO, SKIP_L1DFL_VMENTRY,
    /// SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO.
    /// </summary>
    private const ulong ArchitecturalCapabilities = 1 | (1 << 3) | (1 << 4) | (1 << 5) | (1 << 6) | (1 << 8) | (1 << 13) | (1 << 14)
        | (1 << 15) | (1 << 20) | (1 << 24) | (1 << 26) | (1 << 27) | (1UL << 62);

    /// <summary>EDX:EAX, as RDMSR and RDTSC write it.</summary>
    public static void SetPair(VcpuState* s, ulong value)
    {
        s->Gpr[0] = (uint)value;
        s->Gpr[2] = value >> 32;
    }

    /// <summary>Reads a register. False: it does not exist.</summary>
    public static bool TryRead(Processor processor, uint msr, out ulong value)
    {
        VcpuState* s = processor.State;
        if (IsApic(msr)) return processor.Bus.TryReadApicMsr(processor, msr, out value);
        if (msr is >= 0x200 and < 0x200 + (2 * VariableMtrrs))
        {
            value = s->MtrrVariable[(int)(msr - 0x200)];
            return true;
        }

        if (FixedMtrr(msr) is int index and >= 0)
        {
            value = s->MtrrFixed[index];
            return true;
        }

        ulong? found = msr switch
        {
            Msr.P5McAddress or Msr.P5McType or Msr.PlatformId or Msr.DebugControl => 0,
            Msr.Timestamp => MachineInstructions.Timestamp(processor),
            Msr.BiosSignature => MicrocodeRevision,
            Msr.MtrrCapabilities => MtrrCapabilities,
            Msr.ArchitecturalCapabilities => ArchitecturalCapabilities,
            Msr.SysenterCs => s->SysenterCs,
            Msr.SysenterEsp => s->SysenterEsp,
            Msr.SysenterEip => s->SysenterEip,
            Msr.McgCapabilities or Msr.McgStatus => 0,
            Msr.MiscEnable => s->MiscEnable | MiscEnableOnes,
            Msr.Pat => s->Pat,
            Msr.MtrrDefaultType => s->MtrrDefaultType,
            Msr.Efer => s->Efer,
            Msr.Star => s->Star,
            Msr.Lstar => s->Lstar,
            Msr.Cstar => s->Cstar,
            Msr.Fmask => s->Fmask,
            Msr.FsBase => s->Segment(SegmentIndex.Fs).Base,
            Msr.GsBase => s->Segment(SegmentIndex.Gs).Base,
            Msr.KernelGsBase => s->KernelGsBase,
            Msr.TscAux => s->TscAux,
            _ => null,
        };
        value = found ?? 0;
        return found is not null;
    }

    /// <summary>Writes a register. False: it does not exist, is read-only, or the value has reserved bits or a non-canonical address.</summary>
    public static bool TryWrite(Processor processor, uint msr, ulong value)
    {
        VcpuState* s = processor.State;
        if (IsApic(msr)) return processor.Bus.TryWriteApicMsr(processor, msr, value);
        if (msr is >= 0x200 and < 0x200 + (2 * VariableMtrrs)) return TryWriteVariableMtrr(s, (int)(msr - 0x200), value);
        if (FixedMtrr(msr) is int index and >= 0)
        {
            for (int i = 0; i < 8; i++)
                if (!IsMtrrType((byte)(value >> (i * 8)))) return false;
            s->MtrrFixed[index] = value;
            return true;
        }

        switch (msr)
        {
            case Msr.P5McAddress or Msr.P5McType or Msr.BiosUpdateTrigger or Msr.BiosSignature:
                return true;
            case Msr.McgStatus:
                return value == 0;
            case Msr.DebugControl:
                return (value & ~3UL) == 0;
            case Msr.Timestamp:
                ulong change = value - MachineInstructions.Timestamp(processor);
                s->TscOffset += change;
                s->TscAdjust += change;
                processor.Bus.TimestampChanged(processor);
                return true;
            case Msr.SysenterCs:
                s->SysenterCs = (uint)value;
                return true;
            case Msr.MiscEnable:
                if ((value & ~(MiscEnableChangeable | MiscEnableOnes)) != 0) return false;
                s->MiscEnable = value & MiscEnableChangeable;
                return true;
            case Msr.Pat:
                for (int i = 0; i < 8; i++)
                    if ((byte)(value >> (i * 8)) is not (0 or 1 or 4 or 5 or 6 or 7)) return false;
                s->Pat = value;
                return true;
            case Msr.MtrrDefaultType:
                if ((value & ~0xcffUL) != 0 || !IsMtrrType((byte)value)) return false;
                s->MtrrDefaultType = value;
                return true;
            case Msr.Efer:
                return TryWriteEfer(processor, value);
            case Msr.Star:
                s->Star = value;
                return true;
            case Msr.Fmask:
                if (value >> 32 != 0) return false;
                s->Fmask = value;
                return true;
            case Msr.TscAux:
                if (value >> 32 != 0) return false;
                s->TscAux = value;
                return true;
            default:
                return TryWriteAddress(s, msr, value);
        }
    }

    private static bool TryWriteAddress(VcpuState* s, uint msr, ulong value)
    {
        if (msr is not (Msr.SysenterEsp or Msr.SysenterEip or Msr.Lstar or Msr.Cstar or Msr.FsBase or Msr.GsBase or Msr.KernelGsBase)) return false;
        if (!Mmu.IsCanonical(value)) return false;
        switch (msr)
        {
            case Msr.SysenterEsp: s->SysenterEsp = value; break;
            case Msr.SysenterEip: s->SysenterEip = value; break;
            case Msr.Lstar: s->Lstar = value; break;
            case Msr.Cstar: s->Cstar = value; break;
            case Msr.FsBase: s->Segment(SegmentIndex.Fs).Base = value; break;
            case Msr.GsBase: s->Segment(SegmentIndex.Gs).Base = value; break;
            default: s->KernelGsBase = value; break;
        }

        return true;
    }

    /// <summary>LMA is the processor's; LME may not change while paging is on (Intel SDM 3A 9.8.5).</summary>
    private static bool TryWriteEfer(Processor processor, ulong value)
    {
        VcpuState* s = processor.State;
        if ((value & ~(Efer.Sce | Efer.Lme | Efer.Lma | Efer.Nxe)) != 0) return false;
        ulong changed = value ^ s->Efer;
        if ((changed & Efer.Lme) != 0 && s->HasCr0(Cr0.Pg)) return false;
        s->Efer = (value & ~Efer.Lma) | (s->Efer & Efer.Lma);
        if ((changed & Efer.Nxe) != 0) processor.Mmu.Flush();
        return true;
    }

    private static bool TryWriteVariableMtrr(VcpuState* s, int index, ulong value)
    {
        bool isMask = (index & 1) != 0;
        if ((value & ~PhysicalMask) != 0 || (value & (isMask ? 0x7ffUL : 0xf00UL)) != 0) return false;
        if (!isMask && !IsMtrrType((byte)value)) return false;
        s->MtrrVariable[index] = value;
        return true;
    }

    private static bool IsMtrrType(byte type) => type is 0 or 1 or 4 or 5 or 6;

    private static bool IsApic(uint msr) => msr is Msr.ApicBase or Msr.TscDeadline or (>= 0x800 and <= 0x8ff);

    private static int FixedMtrr(uint msr) => msr switch
    {
        0x250 => 0,
        0x258 => 1,
        0x259 => 2,
        >= 0x268 and <= 0x26f => (int)(msr - 0x268) + 3,
        _ => -1,
    };
}

/// <summary>Addresses of model-specific registers (Intel SDM 4 table 2-2).</summary>
internal static class Msr
{
#pragma warning disable CS1591 // the manual's names, written out
    public const uint P5McAddress = 0, P5McType = 1, Timestamp = 0x10, PlatformId = 0x17, ApicBase = 0x1b, BiosUpdateTrigger = 0x79,
        BiosSignature = 0x8b, MtrrCapabilities = 0xfe, ArchitecturalCapabilities = 0x10a, SysenterCs = 0x174, SysenterEsp = 0x175,
        SysenterEip = 0x176, McgCapabilities = 0x179, McgStatus = 0x17a, MiscEnable = 0x1a0, DebugControl = 0x1d9, Pat = 0x277,
        MtrrDefaultType = 0x2ff, TscDeadline = 0x6e0, Efer = 0xc000_0080, Star = 0xc000_0081, Lstar = 0xc000_0082, Cstar = 0xc000_0083,
        Fmask = 0xc000_0084, FsBase = 0xc000_0100, GsBase = 0xc000_0101, KernelGsBase = 0xc000_0102, TscAux = 0xc000_0103;
#pragma warning restore CS1591
}
