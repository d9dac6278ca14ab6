using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Ringfence.Memory;
using Ringfence.Processors.Exits;
using Ringfence.Processors.Instructions.Simd;

namespace Ringfence.Processors;

/// <summary>
/// One virtual x86 processor: its state, its memory management unit and its connection to the rest of the machine.
/// What instructions do stands in <c>Instructions/</c> and <c>Sensitive/</c>; how they are run in <c>Execution/</c>.
/// Used by one thread at a time, except <see cref="Post"/> and <see cref="Withdraw"/>.
/// </summary>
public sealed unsafe class Processor : IDisposable
{
    private const int PageSize = 4096;

    private readonly object _wakeUp = new();
    private bool _waiting;

    /// <summary>Makes a processor in its power-on state.</summary>
    /// <param name="index">Number of the processor; 0 is the bootstrap processor.</param>
    /// <param name="memory">The physical memory it addresses.</param>
    /// <param name="bus">Everything else it is connected to.</param>
    internal Processor(int index, PhysicalMemory memory, IProcessorBus bus)
    {
        Index = index;
        Bus = bus;
        // One block, so that emitted code reaches the TLB at a fixed distance from the state.
        nuint bytes = TlbOffset + Mmu.TableBytes;
        State = (VcpuState*)NativeMemory.AlignedAlloc(bytes, PageSize);
        NativeMemory.Clear(State, bytes);
        Mmu = new Mmu(this, memory, (TlbEntry*)((byte*)State + TlbOffset));
        Reset.PowerOn(this);
    }

    /// <summary>Distance of the Mmu's tables from <see cref="State"/>.</summary>
    internal static uint TlbOffset => ((uint)sizeof(VcpuState) + PageSize - 1) & ~(PageSize - 1U);

    /// <summary>Number of the processor in its machine, also its initial APIC ID.</summary>
    public int Index { get; }

    /// <summary>The architectural state, in native memory; valid until the processor is disposed.</summary>
    public VcpuState* State { get; private set; }

    /// <summary>Address translation and memory access.</summary>
    internal Mmu Mmu { get; }

    /// <summary>Ports, interrupt controller and clock.</summary>
    internal IProcessorBus Bus { get; }

    /// <summary>Counters of this processor.</summary>
    internal ProcessorStatistics Statistics { get; } = new();

    /// <summary>The accounts of this processor's exits.</summary>
    internal ExitStatistics Exits { get; } = new();

    /// <summary>Records a fault of the current instruction; the engine delivers it. #PF is raised by the Mmu, which sets CR2.</summary>
    internal void RaiseFault(ExceptionVector vector)
    {
        State->FaultPending = 1;
        State->FaultVector = (byte)vector;
        State->FaultHasErrorCode = 0;
        State->FaultErrorCode = 0;
    }

    /// <summary>Records a fault of the current instruction with its error code.</summary>
    internal void RaiseFault(ExceptionVector vector, uint errorCode)
    {
        RaiseFault(vector);
        State->FaultHasErrorCode = 1;
        State->FaultErrorCode = errorCode;
    }

    /// <summary>Vector of the last start-up IPI: execution starts at vector * 4 KiB (Intel SDM 3A 8.4.3).</summary>
    internal byte StartUpVector { get; set; }

    /// <summary>Frames whose decoded code is stale because somebody else wrote them; emptied on the FlushCode event.</summary>
    internal ConcurrentQueue<ulong> StaleCode { get; } = new();

    /// <summary>Sets bits of the event word and wakes the processor's thread if it waits in <see cref="WaitForEvents"/>. Any thread.</summary>
    internal void Post(int events)
    {
        // The full fence of Or orders it before the read: either the waiter sees the event or we see the waiter.
        Interlocked.Or(ref State->Events, events);
        if (State->Native.PollTrap is not null) Volatile.Write(ref *(nint*)&State->Native.Poll, (nint)State->Native.PollTrap);
        if (!Volatile.Read(ref _waiting)) return;
        lock (_wakeUp) Monitor.PulseAll(_wakeUp);
    }

    /// <summary>Blocks the calling thread until one of the bits of <paramref name="mask"/> is set.</summary>
    internal void WaitForEvents(int mask)
    {
        lock (_wakeUp)
        {
            Volatile.Write(ref _waiting, true);
            Interlocked.MemoryBarrier();
            while ((Volatile.Read(ref State->Events) & mask) == 0) Monitor.Wait(_wakeUp);
            Volatile.Write(ref _waiting, false);
        }
    }

    /// <summary>Clears bits of the event word. Any thread.</summary>
    internal void Withdraw(int events) => Interlocked.And(ref State->Events, ~events);

    /// <summary>
    /// Recomputes what engines derive from control registers, CS, SS, CPL and RFLAGS: mode, TLB selection, tags, stack mask,
    /// step mode. Every change of those calls it before the next instruction. Sensitive code calls it; ordinary handlers never need to.
    /// </summary>
    internal void RefreshMode()
    {
        VcpuState* s = State;
        ref SegmentRegister cs = ref s->Segment(SegmentIndex.Cs);
        s->Mode = !s->HasCr0(Cr0.Pe) ? ProcessorMode.Real
            : (s->SystemFlags & RflagsBits.Vm) != 0 ? ProcessorMode.Virtual8086
            : !s->IsLongModeActive ? ProcessorMode.Protected
            : (cs.Attributes & SegmentAttributes.Long) != 0 ? ProcessorMode.Long
            : ProcessorMode.Compatibility;
        s->StackMask = s->Mode == ProcessorMode.Long ? ulong.MaxValue
            : s->Segment(SegmentIndex.Ss).IsBig ? 0xffff_ffffUL : 0xffffUL;
        s->RefreshEventMask();
        s->StepMode = (s->SystemFlags & (RflagsBits.Tf | RflagsBits.Rf)) != 0 || (s->Dr7 & 0xff) != 0 ? (byte)1 : (byte)0;
        s->SimdUnavailable = SimdAccess.Unavailability(s);
        Mmu.RefreshMode();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (State is null) return;
        Mmu.Dispose();
        NativeMemory.AlignedFree(State);
        State = null;
    }
}
