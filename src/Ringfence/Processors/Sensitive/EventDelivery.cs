namespace Ringfence.Processors.Sensitive;

/// <summary>
/// Delivery of exceptions and interrupts (Intel SDM 3A chapter 6). Called by engines between instructions, RIP exact.
/// What happens at the gate stands in <see cref="InterruptGates"/>; here stands which event it is, what is pushed as RF, and what becomes of
/// faults while delivering: the table of 6.15 "Interrupt 8", and shutdown.
/// </summary>
internal static unsafe class EventDelivery
{
    private const int MaximumNesting = 8;

    /// <summary>Delivers the pending fault of the current instruction; nested faults become #DF and shutdown. Clears FaultPending.</summary>
    public static void DeliverFault(Processor processor)
    {
        VcpuState* s = processor.State;
        for (int nesting = 0; nesting < MaximumNesting; nesting++)
        {
            int vector = s->FaultVector;
            Count(processor, vector);
            s->InterruptShadow = 0;
            s->Activity = ActivityState.Active;
            var request = new EventRequest(
                vector,
                vector == (int)ExceptionVector.Debug ? EventKind.Trap : EventKind.Fault,
                s->FaultHasErrorCode != 0 ? s->FaultErrorCode : null,
                s->Rip);
            s->FaultPending = 0;
            bool delivered = Deliver(processor, in request);
            if (delivered && s->FaultPending == 0) return;
            if (vector == (int)ExceptionVector.DoubleFault && !IsBenign(s->FaultVector))
            {
                ShutDown(s);
                return;
            }

            if (BecomesDoubleFault(vector, s->FaultVector)) processor.RaiseFault(ExceptionVector.DoubleFault, 0);
        }

        ShutDown(s);
    }

    /// <summary>Delivers an external interrupt.</summary>
    public static void DeliverInterrupt(Processor processor, int vector)
    {
        processor.Statistics.Interrupts[vector & 0xff]++;
        DeliverAsynchronous(processor, vector & 0xff);
    }

    /// <summary>Delivers an NMI and blocks further ones until IRET. Callers see to <see cref="VcpuState.NmiBlocked"/>.</summary>
    public static void DeliverNmi(Processor processor)
    {
        processor.State->NmiBlocked = 1;
        processor.State->RefreshEventMask();
        Count(processor, (int)ExceptionVector.NonMaskableInterrupt);
        DeliverAsynchronous(processor, (int)ExceptionVector.NonMaskableInterrupt);
    }

    /// <summary>Delivers #DB after an instruction (single step, data breakpoints): sets the given DR6 bits first.</summary>
    public static void DeliverDebugTrap(Processor processor, ulong dr6)
    {
        VcpuState* s = processor.State;
        s->Dr6 |= dr6;
        s->DebugHits = 0;
        s->SystemFlags &= ~RflagsBits.Rf;
        processor.RaiseFault(ExceptionVector.Debug);
        DeliverFault(processor);
    }

    /// <summary>
    /// INT n, INT3, INTO and INT1, with the event's return address behind the instruction. False: a fault was raised whose RIP
    /// is the instruction's own. True may still leave a fault pending, after a task switch.
    /// </summary>
    internal static bool TryDeliverSoftware(Processor processor, int vector, EventKind kind, ulong nextRip)
    {
        if (kind != EventKind.SoftwareInterrupt) Count(processor, vector);
        var request = new EventRequest(vector, kind, null, nextRip);
        return Deliver(processor, in request);
    }

    private static void DeliverAsynchronous(Processor processor, int vector)
    {
        VcpuState* s = processor.State;
        s->InterruptShadow = 0;
        s->Activity = ActivityState.Active;
        var request = new EventRequest(vector, EventKind.External, null, s->Rip);
        if (!Deliver(processor, in request) || s->FaultPending != 0) DeliverFault(processor);
    }

    private static bool Deliver(Processor processor, in EventRequest request)
    {
        bool delivered = processor.State->Mode == ProcessorMode.Real
            ? InterruptGates.TryDeliverReal(processor, in request)
            : InterruptGates.TryDeliver(processor, in request);
        if (delivered && request.Vector == (int)ExceptionVector.Debug && request.Kind != EventKind.SoftwareInterrupt)
        {
            processor.State->Dr7 &= ~DebugRegisters.GeneralDetect;
        }

        return delivered;
    }

    private static void Count(Processor processor, int vector)
    {
        if ((uint)vector < (uint)processor.Statistics.Exceptions.Length) processor.Statistics.Exceptions[vector]++;
    }

    private static void ShutDown(VcpuState* s)
    {
        s->FaultPending = 0;
        s->Activity = ActivityState.Shutdown;
    }

    /// <summary>Intel SDM 3A tables 6-4 and 6-5.</summary>
    private static bool BecomesDoubleFault(int first, int second) =>
        (IsContributory(first) && IsContributory(second))
        || (first == (int)ExceptionVector.PageFault && !IsBenign(second));

    private static bool IsContributory(int vector) => vector is 0 or 10 or 11 or 12 or 13;

    private static bool IsBenign(int vector) => !IsContributory(vector) && vector is not ((int)ExceptionVector.PageFault or (int)ExceptionVector.DoubleFault);
}

/// <summary>Where an event comes from, as far as its delivery depends on it.</summary>
internal enum EventKind
{
    /// <summary>A fault: RF is pushed as 1.</summary>
    Fault,

    /// <summary>A trap, and #DB of every class: RF is pushed as it is, or 0 after an instruction.</summary>
    Trap,

    /// <summary>An external interrupt or NMI.</summary>
    External,

    /// <summary>INT n: the gate's DPL is checked, EXT is 0.</summary>
    SoftwareInterrupt,

    /// <summary>INT3 and INTO: as INT n, but never redirected to virtual-8086 mode.</summary>
    SoftwareException,

    /// <summary>INT1: no DPL check, EXT is 1.</summary>
    PrivilegedSoftwareException,
}

/// <summary>One event on its way through the interrupt descriptor table.</summary>
/// <param name="Vector">Its vector.</param>
/// <param name="Kind">Its source.</param>
/// <param name="ErrorCode">The error code it pushes, or null.</param>
/// <param name="ReturnRip">The instruction pointer it pushes.</param>
internal readonly record struct EventRequest(int Vector, EventKind Kind, uint? ErrorCode, ulong ReturnRip)
{
    /// <summary>The gate's DPL is checked.</summary>
    public bool IsSoftware => Kind is EventKind.SoftwareInterrupt or EventKind.SoftwareException;

    /// <summary>EXT bit of the error codes of faults while delivering it.</summary>
    public uint External => IsSoftware ? 0U : 1U;
}
