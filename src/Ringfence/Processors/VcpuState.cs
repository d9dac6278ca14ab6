using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Ringfence.Memory;

namespace Ringfence.Processors;

/// <summary>
/// Everything that is one virtual processor, in native memory, shared by every engine, the debugger and emitted code.
/// An engine may hold registers elsewhere while it runs, and puts them back before anyone else looks.
/// Only the owning processor's thread touches it while that processor runs, except <see cref="Events"/>.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct VcpuState
{
    /// <summary>Slots behind the 16 general registers that address computations read like registers.</summary>
    public const int ZeroSlot = 16;

    /// <summary>Slot that holds the instruction pointer of the first byte of the page being executed (see Operation).</summary>
    public const int PageSlot = 17;

    /// <summary>RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15, zero, page instruction pointer. Must stay at offset 0.</summary>
    public fixed ulong Gpr[18];

    /// <summary>Source of ZF, SF, PF: see <see cref="StatusFlags"/>.</summary>
    public ulong StatusResult;

    /// <summary>Source of CF, OF, AF: see <see cref="StatusFlags"/>.</summary>
    public ulong StatusCarries;

    /// <summary>Instruction pointer. Exact whenever the processor is between instructions and outside an engine.</summary>
    public ulong Rip;

    /// <summary>RFLAGS without its six status flags, which live in <see cref="StatusFlags"/>. Bit 1 is always set.</summary>
    public ulong SystemFlags;

    /// <summary>A limit out of reach: instructions are counted, and nothing ends for it.</summary>
    public const ulong CountingLimit = ulong.MaxValue - 2;

    /// <summary>
    /// Instructions executed since power-on (an engine may lag inside a block). Exact while <see cref="InstructionLimit"/> is set; without a limit
    /// translated code does not count.
    /// </summary>
    public ulong InstructionCount;

    /// <summary>
    /// The engine returns at the first block boundary at or past this count. <see cref="ulong.MaxValue"/> is no limit, and
    /// <see cref="CountingLimit"/> none but that instructions are counted.
    /// </summary>
    public ulong InstructionLimit;

    /// <summary>Asynchronous requests (<see cref="ProcessorEvents"/>). Any thread sets bits, atomically.</summary>
    public int Events;

    /// <summary>The bits of <see cref="Events"/> that may interrupt execution now: without Interrupt while IF is 0, without Nmi while NMIs are blocked.</summary>
    public int EventMask;

    /// <summary>Current privilege level, 0 to 3.</summary>
    public byte Cpl;

    /// <summary>What the processor executes now.</summary>
    public ProcessorMode Mode;

    /// <summary>1 while interrupts are inhibited for one instruction (STI, MOV SS; Intel SDM 3A 6.8.3).</summary>
    public byte InterruptShadow;

    /// <summary>1 from the delivery of an NMI to the next IRET: further NMIs wait (Intel SDM 3A 6.7.1).</summary>
    public byte NmiBlocked;

    /// <summary>Activity state (Intel SDM 3C 24.4.2).</summary>
    public ActivityState Activity;

    /// <summary>1 when the exception fields below hold a fault raised by the current instruction.</summary>
    public byte FaultPending;

    /// <summary>Vector of the pending fault.</summary>
    public byte FaultVector;

    /// <summary>1 when the pending fault pushes <see cref="FaultErrorCode"/>.</summary>
    public byte FaultHasErrorCode;

    /// <summary>1 when data breakpoints, single step or code breakpoints ask for one instruction at a time.</summary>
    public byte StepMode;

    /// <summary>Error code of the pending fault.</summary>
    public uint FaultErrorCode;

    /// <summary>DR6 bits that the current instruction's data breakpoints collected; becomes #DB after it.</summary>
    public uint DebugHits;

    /// <summary>TLB for data accesses at the current privilege (one of the Mmu's tables).</summary>
    public TlbEntry* Tlb;

    /// <summary>Tag of the current address space, low 12 bits; never matches while each access must take the slow path.</summary>
    public ulong AddressSpaceTag;

    /// <summary>TLB for instruction fetches.</summary>
    public CodeTlbEntry* CodeTlb;

    /// <summary>Low bits of code TLB tags: address space, privilege and code size.</summary>
    public ulong CodeTag;

    /// <summary>Decoded entry points of the page being executed (one index an offset); owned by the decode cache.</summary>
    public uint* CodeEntries;

    /// <summary>First operation of the decode cache's arena.</summary>
    public void* CodeArena;

    /// <summary>Mask of the stack pointer: 16-bit, 32-bit or 64-bit stack.</summary>
    public ulong StackMask;

    /// <summary>In the order of <see cref="SegmentIndex"/>: see <see cref="Segment"/>.</summary>
    public SegmentFile Segments;

    /// <summary>Global descriptor table register.</summary>
    public DescriptorTableRegister Gdtr;

    /// <summary>Interrupt descriptor table register.</summary>
    public DescriptorTableRegister Idtr;

    /// <summary>CR0.</summary>
    public ulong Cr0;

    /// <summary>CR2: the last page fault's linear address.</summary>
    public ulong Cr2;

    /// <summary>CR3.</summary>
    public ulong Cr3;

    /// <summary>CR4.</summary>
    public ulong Cr4;

    /// <summary>IA32_EFER.</summary>
    public ulong Efer;

    /// <summary>The four PDPTEs of PAE paging, loaded with CR3 (Intel SDM 3A 4.4.1).</summary>
    public fixed ulong Pdpte[4];

    /// <summary>DR0 to DR3.</summary>
    public fixed ulong DebugAddress[4];

    /// <summary>DR6.</summary>
    public ulong Dr6;

    /// <summary>DR7.</summary>
    public ulong Dr7;

    /// <summary>IA32_STAR.</summary>
    public ulong Star;

    /// <summary>IA32_LSTAR.</summary>
    public ulong Lstar;

    /// <summary>IA32_CSTAR.</summary>
    public ulong Cstar;

    /// <summary>IA32_FMASK.</summary>
    public ulong Fmask;

    /// <summary>IA32_KERNEL_GS_BASE.</summary>
    public ulong KernelGsBase;

    /// <summary>IA32_SYSENTER_CS.</summary>
    public ulong SysenterCs;

    /// <summary>IA32_SYSENTER_ESP.</summary>
    public ulong SysenterEsp;

    /// <summary>IA32_SYSENTER_EIP.</summary>
    public ulong SysenterEip;

    /// <summary>IA32_TSC_AUX.</summary>
    public ulong TscAux;

    /// <summary>What RDTSC adds to the machine's counter (IA32_TSC writes, IA32_TSC_ADJUST).</summary>
    public ulong TscOffset;

    /// <summary>IA32_TSC_ADJUST.</summary>
    public ulong TscAdjust;

    /// <summary>IA32_PAT.</summary>
    public ulong Pat;

    /// <summary>IA32_MISC_ENABLE.</summary>
    public ulong MiscEnable;

    /// <summary>IA32_MTRR_DEF_TYPE.</summary>
    public ulong MtrrDefaultType;

    /// <summary>The fixed-range MTRRs, 250h, 258h, 259h, 268h to 26Fh.</summary>
    public fixed ulong MtrrFixed[11];

    /// <summary>The variable-range MTRRs, base and mask, 200h to 20Fh.</summary>
    public fixed ulong MtrrVariable[16];

    /// <summary>x87 data registers R0 to R7 (physical), significands; MM0 to MM7 are these.</summary>
    public fixed ulong X87Significand[8];

    /// <summary>Sign and exponent of R0 to R7.</summary>
    public fixed ushort X87SignExponent[8];

    /// <summary>x87 control word.</summary>
    public ushort X87Control;

    /// <summary>x87 status word, with TOP in bits 11 to 13.</summary>
    public ushort X87Status;

    /// <summary>Abridged tag word as FXSAVE stores it: bit i set when physical register i is not empty.</summary>
    public byte X87Tag;

    /// <summary>Last x87 opcode, 11 bits.</summary>
    public ushort X87Opcode;

    /// <summary>Selector of the last x87 instruction.</summary>
    public ushort X87InstructionSelector;

    /// <summary>Selector of the last x87 memory operand.</summary>
    public ushort X87DataSelector;

    /// <summary>Offset of the last x87 instruction.</summary>
    public ulong X87InstructionPointer;

    /// <summary>Offset of the last x87 memory operand.</summary>
    public ulong X87DataPointer;

    /// <summary>SSE control and status.</summary>
    public uint Mxcsr;

    /// <summary>XMM0 to XMM15, two words each.</summary>
    public fixed ulong Xmm[32];

    /// <summary>
    /// Not 0 when CR0.EM, CR0.TS or CR4.OSFXSR make SSE (bit 0) or MMX (bit 1) instructions fault; derived by
    /// <see cref="Processor.RefreshMode"/>.
    /// </summary>
    public byte SimdUnavailable;

    /// <summary>Translator: 1 while the x87 registers are in this structure, 0 while the host's unit holds them. Must follow <see cref="SimdUnavailable"/>.</summary>
    public byte X87InState;

    /// <summary>Where slow memory paths leave what they read, and where read-modify-write operands that are not plain RAM are changed.</summary>
    public fixed ulong Transfer[8];

    /// <summary>What only emitted code and its engine use.</summary>
    public NativeCodeState Native;

    /// <summary>General register <paramref name="index"/>.</summary>
    [UnscopedRef]
    public ref ulong this[int index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref Gpr[index];
    }

    /// <summary>Segment register <paramref name="index"/>.</summary>
    [UnscopedRef]
    public ref SegmentRegister Segment(SegmentIndex index) => ref Segments[(int)index];

    /// <summary>Is a bit of CR0 set?</summary>
    public readonly bool HasCr0(ulong bits) => (Cr0 & bits) != 0;

    /// <summary>Is a bit of CR4 set?</summary>
    public readonly bool HasCr4(ulong bits) => (Cr4 & bits) != 0;

    /// <summary>I/O privilege level.</summary>
    public readonly int Iopl => (int)(SystemFlags >> 12) & 3;

    /// <summary>Long mode is active (64-bit or compatibility).</summary>
    public readonly bool IsLongModeActive => (Efer & Processors.Efer.Lma) != 0;

    /// <summary>The whole of RFLAGS.</summary>
    public ulong Rflags
    {
        readonly get => SystemFlags | StatusFlags.Get(in this);
        set
        {
            SystemFlags = (value & ~RflagsBits.Status & RflagsBits.Defined) | RflagsBits.AlwaysOne;
            StatusFlags.Set(ref this, value);
            RefreshEventMask();
        }
    }

    /// <summary>Recomputes <see cref="EventMask"/>: IF or <see cref="NmiBlocked"/> has changed.</summary>
    internal void RefreshEventMask() =>
        EventMask = ((SystemFlags & RflagsBits.If) != 0 ? ~0 : ~ProcessorEvents.Interrupt) & (NmiBlocked == 0 ? ~0 : ~ProcessorEvents.Nmi);
}

/// <summary>The segment registers, in the order of <see cref="SegmentIndex"/>.</summary>
[InlineArray(10)]
public struct SegmentFile
{
    private SegmentRegister _first;
}

/// <summary>How the current code segment and control registers make the processor decode and address.</summary>
public enum ProcessorMode : byte
{
    /// <summary>Real-address mode.</summary>
    Real,

    /// <summary>Virtual-8086 mode.</summary>
    Virtual8086,

    /// <summary>Protected mode outside IA-32e mode.</summary>
    Protected,

    /// <summary>IA-32e mode with a 16- or 32-bit code segment.</summary>
    Compatibility,

    /// <summary>64-bit mode.</summary>
    Long,
}

/// <summary>What the processor is doing.</summary>
public enum ActivityState : byte
{
    /// <summary>Executing instructions.</summary>
    Active,

    /// <summary>Stopped by HLT until an interrupt.</summary>
    Halted,

    /// <summary>Stopped by a triple fault.</summary>
    Shutdown,

    /// <summary>An application processor waiting for its start-up IPI.</summary>
    WaitForSipi,
}

/// <summary>Bits of <see cref="VcpuState.Events"/>.</summary>
public static class ProcessorEvents
{
    /// <summary>INTR: an interrupt controller has a deliverable vector.</summary>
    public const int Interrupt = 1;

    /// <summary>Non-maskable interrupt.</summary>
    public const int Nmi = 2;

    /// <summary>INIT signal.</summary>
    public const int Init = 4;

    /// <summary>Start-up IPI; its vector waits in the processor.</summary>
    public const int StartUp = 8;

    /// <summary>Leave the engine: stop, pause, or run a request.</summary>
    public const int Stop = 16;

    /// <summary>Another processor or a device changed pages this processor caches decoded code of or writes to.</summary>
    public const int FlushCode = 32;

    /// <summary>Guest time has reached a timer's due time (deterministic machines).</summary>
    public const int Timer = 64;
}
