namespace Ringfence.Processors.Sensitive;

/// <summary>Delivery of exceptions and interrupts (Intel SDM 3A chapter 6). Called by engines between instructions, RIP exact.</summary>
internal static unsafe class EventDelivery
{
    /// <summary>Delivers the pending fault of the current instruction; nested faults become #DF and shutdown. Clears FaultPending.</summary>
    public static void DeliverFault(Processor processor) => throw new InvalidOperationException();

    /// <summary>Delivers an external interrupt.</summary>
    public static void DeliverInterrupt(Processor processor, int vector) => throw new InvalidOperationException();

    /// <summary>Delivers an NMI.</summary>
    public static void DeliverNmi(Processor processor) => throw new InvalidOperationException();

    /// <summary>Delivers #DB after an instruction (single step, data breakpoints): sets the given DR6 bits first.</summary>
    public static void DeliverDebugTrap(Processor processor, ulong dr6) => throw new InvalidOperationException();
}
