namespace Ringfence.Virtualizability;

/// <summary>What an element of a machine's state is to a program that runs in it: Popek and Goldberg's (1974) memory, mode and relocation, and what later machines added.</summary>
public enum ElementClass
{
    /// <summary>The program's own: general registers, arithmetic flags, the instruction pointer, memory as the program addresses it.</summary>
    Program,

    /// <summary>The processor's mode and privilege level.</summary>
    Mode,

    /// <summary>Registers that belong to the system: control, debug and model-specific registers, interrupt flag, clock.</summary>
    SensitiveRegister,

    /// <summary>The resource map: segments, descriptor tables, page tables, and the registers that point to them.</summary>
    Protection,

    /// <summary>Devices, and whether the processor executes at all.</summary>
    InputOutput,
}
