using static Ringfence.Virtualizability.Model.ModelLayout;

namespace Ringfence.Virtualizability.Model;

/// <summary>What one environment has otherwise than others.</summary>
internal sealed record EnvironmentSettings
{
    /// <summary>Privilege level. In <see cref="AnalysisMode.Virtual8086"/> 0 stands for real-address mode and 3 for virtual-8086 mode.</summary>
    public int Level { get; init; }

    /// <summary>EFLAGS.IF.</summary>
    public bool Interrupts { get; init; } = true;

    /// <summary>EFLAGS.IOPL.</summary>
    public int Iopl { get; init; }

    /// <summary>Bits of CR0 that are inverted.</summary>
    public ulong Cr0 { get; init; }

    /// <summary>Bits of CR4 that are inverted.</summary>
    public ulong Cr4 { get; init; }

    /// <summary>Bits of IA32_EFER that are inverted.</summary>
    public ulong Efer { get; init; }

    /// <summary>Base of the GDT.</summary>
    public uint GdtBase { get; init; } = Gdt;

    /// <summary>Base of the IDT.</summary>
    public uint IdtBase { get; init; } = Idt;

    /// <summary>Selector in LDTR.</summary>
    public ushort LdtSelector { get; init; } = ModelLayout.LdtSelector;

    /// <summary>Selector in TR.</summary>
    public ushort TssSelector { get; init; } = ModelLayout.TssSelector;

    /// <summary>Descriptors of segments that the program does not run in have other limits and types.</summary>
    public bool HasChangedDescriptors { get; init; }

    /// <summary>The linear addresses lead to other frames.</summary>
    public bool IsInOtherFrames { get; init; }

    /// <summary>Base of the program's segments.</summary>
    public uint SegmentBase { get; init; }

    /// <summary>The program's segments are those of the LDT.</summary>
    public bool UsesLdt { get; init; }

    /// <summary>Number of the processor.</summary>
    public int Processor { get; init; }

    /// <summary>Added to the time-stamp counter.</summary>
    public ulong TimestampOffset { get; init; }

    /// <summary>Added to what registers hold that nothing else depends on.</summary>
    public SystemRegister Changed { get; init; }
}
