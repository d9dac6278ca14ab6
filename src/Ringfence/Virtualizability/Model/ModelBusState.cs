namespace Ringfence.Virtualizability.Model;

/// <summary>State of what a processor is connected to.</summary>
internal struct ModelBusState
{
    /// <summary>What every port reads as.</summary>
    public uint PortValue;

    /// <summary>Stands for the accesses to ports so far.</summary>
    public ulong Accesses;

    /// <summary>CR8.</summary>
    public ulong TaskPriority;

    /// <summary>IA32_APIC_BASE.</summary>
    public ulong ApicBase;
}
