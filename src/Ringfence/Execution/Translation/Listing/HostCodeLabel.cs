namespace Ringfence.Execution.Translation.Listing;

/// <summary>What an instruction of emitted code is there for. Listings show the names in capitals.</summary>
public enum HostCodeLabel
{
    /// <summary>The guest's instruction itself; registers may be renamed.</summary>
    Ident,

    /// <summary>An access to guest memory: address, check, and the instruction with its operand in the host's address space.</summary>
    Mem,

    /// <summary>A conditional branch.</summary>
    Jcc,

    /// <summary>A jump.</summary>
    Jmp,

    /// <summary>A call: the return address is pushed to the guest's stack, then a jump.</summary>
    Call,

    /// <summary>A return: the address is popped from the guest's stack and its fragment looked up.</summary>
    Ret,

    /// <summary>A sensitive instruction done in place.</summary>
    Inline,

    /// <summary>Leaves translated code: the monitor executes the instruction by its definition.</summary>
    CallOut,

    /// <summary>Looks for events (interrupts, stop requests).</summary>
    Poll,

    /// <summary>Moves the guest's status flags between the host's and memory.</summary>
    Flags,

    /// <summary>The way on to another fragment.</summary>
    Link,

    /// <summary>Counts instructions, where the machine's time depends on it.</summary>
    Count,

    /// <summary>An entry of the fragment for code that cannot use the common one: with saved flags, or through the jump table.</summary>
    Entry,
}
