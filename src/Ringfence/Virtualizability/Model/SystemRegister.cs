namespace Ringfence.Virtualizability.Model;

/// <summary>Registers that have another value in one environment.</summary>
internal enum SystemRegister
{
    /// <summary>None.</summary>
    None,

    /// <summary>CR2.</summary>
    Cr2,

    /// <summary>CR8.</summary>
    Cr8,

    /// <summary>DR0 to DR3, DR6.</summary>
    Debug,

    /// <summary>IA32_TSC_AUX.</summary>
    TscAux,

    /// <summary>IA32_SYSENTER_ESP and EIP.</summary>
    Sysenter,

    /// <summary>IA32_LSTAR, CSTAR, FMASK and STAR's selectors.</summary>
    Syscall,

    /// <summary>IA32_KERNEL_GS_BASE.</summary>
    KernelGsBase,

    /// <summary>IA32_PAT.</summary>
    Pat,

    /// <summary>IA32_MISC_ENABLE.</summary>
    MiscEnable,

    /// <summary>IA32_MTRR_DEF_TYPE.</summary>
    Mtrr,

    /// <summary>IA32_APIC_BASE.</summary>
    ApicBase,

    /// <summary>What ports read as.</summary>
    Ports,
}
