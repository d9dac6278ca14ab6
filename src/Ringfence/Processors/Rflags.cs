namespace Ringfence.Processors;

/// <summary>Bits of RFLAGS (Intel SDM 1 3.4.3).</summary>
public static class RflagsBits
{
#pragma warning disable CS1591 // the manual's names
    public const ulong Cf = 1, AlwaysOne = 2, Pf = 4, Af = 0x10, Zf = 0x40, Sf = 0x80, Tf = 0x100, If = 0x200, Df = 0x400,
        Of = 0x800, Iopl = 0x3000, Nt = 0x4000, Rf = 0x1_0000, Vm = 0x2_0000, Ac = 0x4_0000, Vif = 0x8_0000,
        Vip = 0x10_0000, Id = 0x20_0000;
    public const ulong Status = Cf | Pf | Af | Zf | Sf | Of;
    public const ulong Defined = Status | Tf | If | Df | Iopl | Nt | Rf | Vm | Ac | Vif | Vip | Id;
#pragma warning restore CS1591
}

/// <summary>Bits of CR0 (Intel SDM 3A 2.5).</summary>
public static class Cr0
{
#pragma warning disable CS1591
    public const ulong Pe = 1, Mp = 2, Em = 4, Ts = 8, Et = 16, Ne = 32, Wp = 1 << 16, Am = 1 << 18, Nw = 1 << 29,
        Cd = 1 << 30, Pg = 1UL << 31;
#pragma warning restore CS1591
}

/// <summary>Bits of CR4 (Intel SDM 3A 2.5).</summary>
public static class Cr4
{
#pragma warning disable CS1591
    public const ulong Vme = 1, Pvi = 2, Tsd = 4, De = 8, Pse = 16, Pae = 32, Mce = 64, Pge = 128, Pce = 256, Osfxsr = 512,
        Osxmmexcpt = 1024, Umip = 1 << 11, Vmxe = 1 << 13, Fsgsbase = 1 << 16, Pcide = 1 << 17, Osxsave = 1 << 18,
        Smep = 1 << 20, Smap = 1 << 21;
#pragma warning restore CS1591
}

/// <summary>Bits of IA32_EFER (Intel SDM 3A 2.2.1).</summary>
public static class Efer
{
#pragma warning disable CS1591
    public const ulong Sce = 1, Lme = 1 << 8, Lma = 1 << 10, Nxe = 1 << 11;
#pragma warning restore CS1591
}

/// <summary>Exception vectors (Intel SDM 3A 6.3.1).</summary>
public enum ExceptionVector : byte
{
#pragma warning disable CS1591
    DivideError = 0, Debug = 1, NonMaskableInterrupt = 2, Breakpoint = 3, Overflow = 4, BoundRange = 5, InvalidOpcode = 6,
    DeviceNotAvailable = 7, DoubleFault = 8, InvalidTss = 10, SegmentNotPresent = 11, StackFault = 12,
    GeneralProtection = 13, PageFault = 14, FloatingPoint = 16, AlignmentCheck = 17, MachineCheck = 18,
    SimdFloatingPoint = 19,
#pragma warning restore CS1591
}
