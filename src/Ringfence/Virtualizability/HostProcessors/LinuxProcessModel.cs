using System.Buffers.Binary;
using Ringfence.Execution.Interpretation;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Virtualizability.Model;

namespace Ringfence.Virtualizability.HostProcessors;

/// <summary>
/// The processor model in the state that Linux gives a process: long mode, CPL 3, IOPL 0, interrupts on, Linux's GDT, the gates that are open to
/// programs, no I/O bitmap, no LDT. The areas lie where the child process has them, so that a <see cref="HostCase"/> means the same to both.
/// </summary>
internal sealed unsafe class LinuxProcessModel : IDisposable
{
    // Physical memory: page tables, tables of the system, and from Areas code, data and stack.
    private const uint Pml4 = 0x1000;
    private const uint Gdt = 0x2000;
    private const uint Idt = 0x3000;
    private const uint Tss = 0x4000;
    private const uint Handlers = 0x5000;
    private const uint KernelStackTop = 0x8000;
    private const uint FirstPageTable = 0x10_0000;
    private const uint Areas = 0x20_0000;
    private const uint MemoryBytes = 4 << 20;

    private const ulong KernelBase = 0xffff_8000_0000_0000;
    private const ushort KernelCode = 0x10, TaskSelector = 0x40;
    private const ulong KernelPages = 0x10;
    private const int GdtBytes = 0x80;
    private const int Vectors = 256;
    private const int HandlerBytes = 16;
    private const byte LinuxGate = 0x80;
    private const byte Hlt = 0xf4;
    private const ulong InstructionBudget = 20_000;
    private const ulong ProgramFlags = RflagsBits.Status | RflagsBits.Df | RflagsBits.Nt | RflagsBits.Ac | RflagsBits.Id;

    private readonly HostProbeLayout _layout;
    private readonly PhysicalMemory _memory = new(MemoryBytes);
    private readonly Processor _processor;
    private readonly Interpreter _interpreter;
    private readonly byte[] _code = new byte[HostProbeLayout.AreaBytes];
    private uint _nextPageTable = FirstPageTable;

    /// <summary>Makes the processor.</summary>
    /// <param name="layout">Where the areas lie.</param>
    /// <param name="umip">CR4.UMIP.</param>
    public LinuxProcessModel(HostProbeLayout layout, bool umip)
    {
        _layout = layout;
        _processor = new Processor(0, _memory, new ModelBus());
        _memory.CodeWritten = (frame, _) =>
        {
            _processor.StaleCode.Enqueue(frame);
            _processor.Post(ProcessorEvents.FlushCode);
        };
        WriteTables();
        MapAreas();
        EnterLongMode(umip);
        _interpreter = new Interpreter(_processor);
    }

    /// <summary>Executes one instruction, as <see cref="HostProcessorProbe.Execute"/> does.</summary>
    public HostOutcome Execute(HostCase hostCase)
    {
        Load(hostCase);
        VcpuState* s = _processor.State;
        ExitReason reason = _interpreter.Run();
        if (reason == ExitReason.InstructionLimit) return new HostOutcome { Kind = HostOutcomeKind.TimedOut };
        if (reason != ExitReason.Halt || s->Cpl != 0) throw new InvalidOperationException($"The model left with {reason} at CPL {s->Cpl}, RIP 0x{s->Rip:x}.");
        int handler = (int)((s->Rip - 1 - KernelBase - Handlers) / HandlerBytes);
        ulong* frame = (ulong*)(_memory.HostBase + KernelStackTop);
        HostOutcome outcome = Save();
        if (handler >= Vectors) return outcome with { Kind = HostOutcomeKind.SystemCall, Rip = s->Gpr[1] };
        outcome = outcome with
        {
            Vector = handler,
            ErrorCode = HostOutcome.HasErrorCode(handler) ? frame[-6] : 0,
            FaultAddress = s->Cr2,
            Rip = frame[-5],
            Cs = (ushort)frame[-4],
            Flags = frame[-3] & ~RflagsBits.Rf,
            Ss = (ushort)frame[-1],
        };
        ((ulong[])outcome.Registers)[4] = frame[-2];
        ulong start = _layout.Code + (ulong)hostCase.CodeOffset;
        return handler == LinuxGate
            ? outcome with { Kind = HostOutcomeKind.SystemCall, IsCompatibilityCall = true }
            : outcome.Complete(start, address => address - _layout.Code < (ulong)_code.Length && _code[(int)(address - _layout.Code)] == Hlt);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _interpreter.Dispose();
        _processor.Dispose();
        _memory.Dispose();
    }

    private void Load(HostCase hostCase)
    {
        _code.AsSpan().Fill(Hlt);
        hostCase.Code.Span.CopyTo(_code.AsSpan(hostCase.CodeOffset));
        _memory.Write(new GuestPhysical(Areas), _code);
        WriteArea(1, hostCase.Data.Span);
        WriteArea(2, hostCase.Stack.Span);
        VcpuState* s = _processor.State;
        for (int i = 0; i < 16; i++) s->Gpr[i] = i < hostCase.Registers.Count ? hostCase.Registers[i] : 0;
        s->Rflags = (hostCase.Flags & ProgramFlags) | RflagsBits.AlwaysOne | RflagsBits.If;
        ResetUnits(s);
        SetSegment(SegmentIndex.Cs, hostCase.Bitness == 64 ? HostCase.LongCodeSelector : HostCase.CompatibilityCodeSelector);
        SetSegment(SegmentIndex.Ss, HostCase.FlatDataSelector);
        SetSegment(SegmentIndex.Ds, hostCase.Ds);
        SetSegment(SegmentIndex.Es, hostCase.Es);
        SetSegment(SegmentIndex.Fs, hostCase.Fs);
        SetSegment(SegmentIndex.Gs, hostCase.Gs);
        s->Cpl = 3;
        s->Rip = _layout.Code + (ulong)hostCase.CodeOffset;
        s->FaultPending = 0;
        s->InterruptShadow = 0;
        s->Activity = ActivityState.Active;
        s->InstructionLimit = s->InstructionCount + InstructionBudget;
        s->Cr2 = 0;
        _processor.RefreshMode();
    }

    /// <summary>The initial state of x87, MMX and SSE, which the kernel gives a signal handler.</summary>
    private static void ResetUnits(VcpuState* s)
    {
        s->X87Control = 0x37f;
        s->Mxcsr = 0x1f80;
        s->X87Status = s->X87Opcode = s->X87InstructionSelector = s->X87DataSelector = 0;
        s->X87Tag = 0;
        s->X87InstructionPointer = s->X87DataPointer = 0;
        new Span<ulong>(s->X87Significand, 8).Clear();
        new Span<ushort>(s->X87SignExponent, 8).Clear();
        new Span<ulong>(s->Xmm, 32).Clear();
    }

    private void WriteArea(int index, ReadOnlySpan<byte> contents)
    {
        Span<byte> area = new(_memory.HostBase + Areas + (index * HostProbeLayout.AreaBytes), HostProbeLayout.AreaBytes);
        area.Clear();
        contents.CopyTo(area);
    }

    private byte[] ReadArea(int index) =>
        new ReadOnlySpan<byte>(_memory.HostBase + Areas + (index * HostProbeLayout.AreaBytes), HostProbeLayout.AreaBytes).ToArray();

    private HostOutcome Save()
    {
        VcpuState* s = _processor.State;
        return new HostOutcome
        {
            Kind = HostOutcomeKind.Trapped,
            Flags = s->Rflags,
            Registers = new ReadOnlySpan<ulong>(s->Gpr, 16).ToArray(),
            Ds = Selector(SegmentIndex.Ds),
            Es = Selector(SegmentIndex.Es),
            Fs = Selector(SegmentIndex.Fs),
            Gs = Selector(SegmentIndex.Gs),
            Data = ReadArea(1),
            Stack = ReadArea(2),
        };
    }

    /// <summary>As a signal handler finds it: null selectors are 0.</summary>
    private ushort Selector(SegmentIndex index)
    {
        ushort selector = _processor.State->Segment(index).Selector;
        return selector < 4 ? (ushort)0 : selector;
    }

    private void WriteTables()
    {
        // Linux's GDT (arch/x86: GDT_ENTRY_*): 32-bit kernel code, kernel code and data, 32-bit code, data and code of programs, the TSS.
        Write64(Gdt + 0x08, 0x00cf_9b00_0000_ffff);
        Write64(Gdt + KernelCode, 0x00af_9b00_0000_ffff);
        Write64(Gdt + 0x18, 0x00cf_9300_0000_ffff);
        Write64(Gdt + 0x20, 0x00cf_fb00_0000_ffff);
        Write64(Gdt + 0x28, 0x00cf_f300_0000_ffff);
        Write64(Gdt + 0x30, 0x00af_fb00_0000_ffff);
        Write64(Gdt + TaskSelector, 0x0000_8b00_0000_0067 | ((KernelBase + Tss & 0xff_ffff) << 16));
        Write64(Gdt + TaskSelector + 8, KernelBase >> 32);
        Write64(Tss + 4, KernelBase + KernelStackTop);
        Write64(Tss + 0x60, 0x68UL << 48);

        // INT3, INTO and the 32-bit system call are for programs; two more handlers are entered by SYSCALL and SYSENTER.
        for (uint vector = 0; vector < Vectors; vector++)
        {
            ulong handler = KernelBase + Handlers + (vector * HandlerBytes);
            ulong gate = vector is 3 or 4 or LinuxGate ? 0xeeUL : 0x8eUL;
            Write64(Idt + (vector * 16), (handler & 0xffff) | ((ulong)KernelCode << 16) | (gate << 40) | ((handler >> 16 & 0xffff) << 48));
            Write64(Idt + (vector * 16) + 8, handler >> 32);
        }

        for (uint handler = 0; handler < Vectors + 2; handler++) _memory.Write(new GuestPhysical(Handlers + (handler * HandlerBytes)), [Hlt]);
    }

    private void MapAreas()
    {
        const ulong User = 0x67, Kernel = 0x63, NoExecute = 1UL << 63;  // present, writable, accessed, dirty
        for (ulong page = 0; page < KernelPages; page++) Map(KernelBase + (page << 12), (page << 12) | Kernel);
        Map(_layout.Code, Areas | User);
        Map(_layout.Data, (Areas + HostProbeLayout.AreaBytes) | User | NoExecute);
        Map(_layout.Stack, (Areas + (2 * HostProbeLayout.AreaBytes)) | User | NoExecute);
    }

    private void Map(ulong linear, ulong entry)
    {
        const ulong Table = 0x67, Address = 0x000f_ffff_ffff_f000;
        ulong table = Pml4;
        for (int shift = 39; shift > 12; shift -= 9)
        {
            ulong at = table + ((linear >> shift & 511) * 8);
            if (Read64(at) == 0)
            {
                Write64(at, _nextPageTable | Table);
                _nextPageTable += 0x1000;
            }

            table = Read64(at) & Address;
        }

        Write64(table + ((linear >> 12 & 511) * 8), entry);
    }

    private ulong Read64(ulong physical) => *(ulong*)(_memory.HostBase + physical);

    private void Write64(ulong physical, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        _memory.Write(new GuestPhysical(physical), bytes);
    }

    private void EnterLongMode(bool umip)
    {
        const ushort BusyTask = 0x8b;
        VcpuState* s = _processor.State;
        s->Cr0 = Cr0.Pe | Cr0.Mp | Cr0.Et | Cr0.Ne | Cr0.Wp | Cr0.Am | Cr0.Pg;
        s->Cr3 = Pml4;
        s->Cr4 = Cr4.Pse | Cr4.Pae | Cr4.Mce | Cr4.Pge | Cr4.Osfxsr | Cr4.Osxmmexcpt | Cr4.Fsgsbase | Cr4.Smep | Cr4.Smap | (umip ? Cr4.Umip : 0);
        s->Efer = Efer.Sce | Efer.Lme | Efer.Lma | Efer.Nxe;
        s->Gdtr = new DescriptorTableRegister { Base = KernelBase + Gdt, Limit = GdtBytes - 1 };
        s->Idtr = new DescriptorTableRegister { Base = KernelBase + Idt, Limit = (Vectors * 16) - 1 };
        s->Star = ((ulong)HostCase.CompatibilityCodeSelector << 48) | ((ulong)KernelCode << 32);
        s->Lstar = KernelBase + Handlers + (Vectors * HandlerBytes);
        s->Cstar = s->Lstar;
        s->SysenterCs = KernelCode;
        s->SysenterEip = s->Lstar + HandlerBytes;
        s->SysenterEsp = KernelBase + KernelStackTop;
        Set(SegmentIndex.Tr, TaskSelector, BusyTask, KernelBase + Tss, 0x67);
        Set(SegmentIndex.Ldtr, 0, SegmentAttributes.Unusable, 0, 0);
        _processor.Mmu.Flush();
    }

    /// <summary>Loads one of Linux's flat segments for programs, or null.</summary>
    private void SetSegment(SegmentIndex index, ushort selector)
    {
        ushort attributes = selector switch
        {
            HostCase.LongCodeSelector => 0xa0fb,
            HostCase.CompatibilityCodeSelector => 0xc0fb,
            HostCase.FlatDataSelector => 0xc0f3,
            _ => SegmentAttributes.Unusable,
        };
        bool isNull = attributes == SegmentAttributes.Unusable;
        Set(index, isNull ? (ushort)0 : selector, attributes, 0, isNull ? 0 : uint.MaxValue);
    }

    private void Set(SegmentIndex index, ushort selector, ushort attributes, ulong start, uint limit) =>
        _processor.State->Segment(index) = new SegmentRegister(selector, start, limit, attributes);
}
