using Iced.Intel;
using Ringfence.Execution;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.Support;

/// <summary>
/// A processor with 4 MiB of RAM, tables at fixed places and helpers to build what a test needs. It starts in real-address
/// mode; <see cref="EnterProtected"/> and <see cref="EnterLong"/> set modes up as an operating system would leave them, at CPL 0.
/// GDT: 08 code 0, 10 data 0, 18 code 3 (1B), 20 data 3 (23), 28 64-bit code 0, 30 64-bit code 3 (33), 38 TSS (two slots), 48 LDT (two slots),
/// from 60 free for tests. Every vector has a gate to its own HLT at <see cref="Handlers"/> + 16 * vector.
/// </summary>
internal sealed unsafe class TestMachine : IDisposable
{
    public const uint Gdt = 0x1000;
    public const uint Idt = 0x2000;
    public const uint Tss = 0x4000;
    public const uint Ldt = 0x5000;
    public const uint Handlers = 0x6000;
    public const uint Code = 0x10000;
    public const uint UserCode = 0x12000;
    public const uint Data = 0x20000;
    public const uint Stack = 0x30000;
    public const uint Stack1 = 0x34000;
    public const uint InnerStack = 0x38000;
    public const uint UserStack = 0x3c000;
    public const uint PageTables = 0x100000;
    public const ushort Code0 = 8, Data0 = 0x10, Code3 = 0x1b, Data3 = 0x23, LongCode0 = 0x28, LongCode3 = 0x33, TssSelector = 0x38, LdtSelector = 0x48;
    public const ushort FirstFree = 0x60;

    public TestMachine(int processors = 1)
    {
        Bus = new FakeBus { ProcessorCount = processors };
        Memory = new PhysicalMemory(4 << 20);
        Processor = new Processor(0, Memory, Bus);
        Engine = Engines.Create(Processor);
        Memory.CodeWritten = (frame, _) =>
        {
            Processor.StaleCode.Enqueue(frame);
            Processor.Post(ProcessorEvents.FlushCode);
        };
    }

    public FakeBus Bus { get; }

    public PhysicalMemory Memory { get; }

    public Processor Processor { get; }

    public IExecutionEngine Engine { get; }

    /// <summary>An engine hangs in this machine: it stays as it is when it is disposed of.</summary>
    public bool IsAbandoned { get; set; }

    public VcpuState* State => Processor.State;

    public ref SegmentRegister Segment(SegmentIndex index) => ref State->Segment(index);

    public void Write16(uint address, ushort value) => Memory.Write(new GuestPhysical(address), BitConverter.GetBytes(value));

    public void Write32(uint address, uint value) => Memory.Write(new GuestPhysical(address), BitConverter.GetBytes(value));

    public void Write64(uint address, ulong value) => Memory.Write(new GuestPhysical(address), BitConverter.GetBytes(value));

    public byte Read8(ulong address) => (byte)Read64(address);

    public ushort Read16(ulong address) => (ushort)Read64(address);

    public uint Read32(ulong address) => (uint)Read64(address);

    public ulong Read64(ulong address)
    {
        Span<byte> data = stackalloc byte[8];
        Memory.Read(new GuestPhysical(address), data);
        return BitConverter.ToUInt64(data);
    }

    /// <summary>An eight-byte segment descriptor; <paramref name="flags"/> are G, D/B, L, AVL.</summary>
    public static ulong Descriptor(uint @base, uint limit, int access, int flags) =>
        (limit & 0xffffUL) | ((@base & 0xff_ffffUL) << 16) | ((ulong)access << 40) | ((limit & 0xf_0000UL) << 32)
            | ((ulong)flags << 52) | ((@base & 0xff00_0000UL) << 32);

    /// <summary>An eight-byte gate.</summary>
    public static ulong Gate(ushort selector, uint offset, int access, int parameters = 0) =>
        (offset & 0xffffUL) | ((ulong)selector << 16) | ((ulong)parameters << 32) | ((ulong)access << 40) | ((offset & 0xffff_0000UL) << 32);

    public void SetGdt(int selector, ulong descriptor) => Write64(Gdt + (uint)(selector & 0xfff8), descriptor);

    public void SetGate(int vector, ulong gate) => Write64(Idt + ((uint)vector * (State->IsLongModeActive ? 16U : 8U)), gate);

    /// <summary>32-bit protected mode, flat, no paging.</summary>
    public void EnterProtected()
    {
        WriteTables();
        for (int vector = 0; vector < 256; vector++)
        {
            Write64(Idt + ((uint)vector * 8), Gate(Code0, Handler(vector), 0x8e));
            Memory.Write(new GuestPhysical(Handler(vector)), [0xf4]);
        }

        State->Cr0 = Cr0.Pe | Cr0.Et | Cr0.Ne;
        State->Gdtr = new DescriptorTableRegister { Base = Gdt, Limit = 0xfff };
        State->Idtr = new DescriptorTableRegister { Base = Idt, Limit = 0x7ff };
        Load(SegmentIndex.Tr, TssSelector, Tss, 0x67, 0x8b);
        Load(SegmentIndex.Ldtr, LdtSelector, Ldt, 0xfff, 0x82);
        Write32(Tss + 4, InnerStack);
        Write32(Tss + 8, Data0);
        EnterAt(0, Code0, 0xc09b, Data0, 0xc093, Code, Stack);
    }

    /// <summary>64-bit mode with RAM mapped one to one in 2 MiB user pages.</summary>
    public void EnterLong(bool user = true)
    {
        WriteTables();
        for (int vector = 0; vector < 256; vector++)
        {
            Write64(Idt + ((uint)vector * 16), Gate(LongCode0, Handler(vector), 0x8e));
            Write64(Idt + ((uint)vector * 16) + 8, 0);
            Memory.Write(new GuestPhysical(Handler(vector)), [0xf4]);
        }

        ulong rights = user ? 7UL : 3UL;
        Write64(PageTables, (PageTables + 0x1000) | rights);
        Write64(PageTables + 0x1000, (PageTables + 0x2000) | rights);
        for (uint i = 0; i < 2; i++) Write64(PageTables + 0x2000 + (i * 8), (i << 21) | 0x80UL | rights);
        State->Cr0 = Cr0.Pe | Cr0.Et | Cr0.Ne | Cr0.Pg | Cr0.Wp;
        State->Cr3 = PageTables;
        State->Cr4 = Cr4.Pae | Cr4.Osfxsr;
        State->Efer = Efer.Lme | Efer.Lma | Efer.Sce | Efer.Nxe;
        State->Gdtr = new DescriptorTableRegister { Base = Gdt, Limit = 0xfff };
        State->Idtr = new DescriptorTableRegister { Base = Idt, Limit = 0xfff };
        Load(SegmentIndex.Tr, TssSelector, Tss, 0x67, 0x8b);
        Load(SegmentIndex.Ldtr, LdtSelector, Ldt, 0xfff, 0x82);
        Write64(Tss + 4, InnerStack);
        Processor.Mmu.Flush();
        EnterAt(0, LongCode0, 0xa09b, Data0, 0xc093, Code, Stack);
    }

    /// <summary>Continues at CPL 3 in the mode set up.</summary>
    public void EnterUser()
    {
        bool isLong = State->IsLongModeActive;
        EnterAt(3, isLong ? LongCode3 : Code3, (ushort)(isLong ? 0xa0fb : 0xc0fb), Data3, 0xc0f3, Code, UserStack);
    }

    /// <summary>Continues in virtual-8086 mode with all segments at <paramref name="selector"/>.</summary>
    public void EnterVirtual8086(int iopl, ushort selector = (ushort)(Code >> 4))
    {
        State->Rflags = RflagsBits.Vm | ((ulong)iopl << 12) | RflagsBits.If;
        for (int i = 0; i < 6; i++) Load((SegmentIndex)i, selector, (uint)selector << 4, 0xffff, 0xf3);
        State->Cpl = 3;
        State->Rip = 0;
        State->Gpr[4] = 0xff00;
        Processor.Mmu.FlushCodeTlb();
        Processor.RefreshMode();
    }

    public static uint Handler(int vector) => Handlers + ((uint)vector * 16);

    /// <summary>Assembles code at a linear (and physical) address; the code segment's base is <paramref name="base"/>.</summary>
    public void Assemble(int bits, Action<Assembler> program, uint at = Code, uint @base = 0)
    {
        var assembler = new Assembler(bits);
        program(assembler);
        var bytes = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(bytes), at - @base);
        Memory.Write(new GuestPhysical(at), bytes.ToArray());
    }

    public void Emit(params byte[] code) => Memory.Write(new GuestPhysical(Code), code);

    /// <summary>Runs until the processor halts.</summary>
    public ExitReason RunToHalt(ulong limit = 100_000)
    {
        ulong end = State->InstructionCount + limit;
        State->InstructionLimit = Engines.StopsAtLimit ? end : VcpuState.CountingLimit;
        using StoppingTimer? watchdog = Engines.StopsAtLimit ? null : new StoppingTimer(() => StopAt(end), 1, 1);
        return Engine.Run();
    }

    private void StopAt(ulong count)
    {
        if (Volatile.Read(ref State->InstructionCount) >= count) Processor.Post(ProcessorEvents.Stop);
    }

    /// <summary>Runs to the handler of an exception and says which; its frame is at the stack pointer.</summary>
    public int RunToVector()
    {
        RunToHalt().ShouldBe(ExitReason.Halt);
        uint rip = (uint)State->Rip - 1;
        rip.ShouldBeInRange(Handlers, Handlers + (255 * 16), "not in a handler");
        return (int)(rip - Handlers) / 16;
    }

    /// <summary>Runs into an exception with an error code and returns both.</summary>
    public (ExceptionVector Vector, uint ErrorCode) RunToFault()
    {
        int vector = RunToVector();
        return ((ExceptionVector)vector, Read32(State->Gpr[4]));
    }

    public void Load(SegmentIndex index, ushort selector, uint @base, uint limit, ushort attributes) =>
        Segment(index) = new SegmentRegister(selector, @base, limit, attributes);

    public void Dispose()
    {
        if (IsAbandoned) return;
        Engine.Dispose();
        Processor.Dispose();
        Memory.Dispose();
    }

    private void EnterAt(int cpl, ushort cs, ushort codeAttributes, ushort ds, ushort dataAttributes, uint rip, uint stack)
    {
        Load(SegmentIndex.Cs, cs, 0, 0xffff_ffff, codeAttributes);
        foreach (SegmentIndex index in new[] { SegmentIndex.Es, SegmentIndex.Ss, SegmentIndex.Ds, SegmentIndex.Fs, SegmentIndex.Gs })
            Load(index, ds, 0, 0xffff_ffff, dataAttributes);
        State->Cpl = (byte)cpl;
        State->Rip = rip;
        State->Gpr[4] = stack;
        Processor.Mmu.FlushCodeTlb();
        Processor.RefreshMode();
    }

    private void WriteTables()
    {
        SetGdt(Code0, Descriptor(0, 0xf_ffff, 0x9b, 0xc));
        SetGdt(Data0, Descriptor(0, 0xf_ffff, 0x93, 0xc));
        SetGdt(Code3, Descriptor(0, 0xf_ffff, 0xfb, 0xc));
        SetGdt(Data3, Descriptor(0, 0xf_ffff, 0xf3, 0xc));
        SetGdt(LongCode0, Descriptor(0, 0xf_ffff, 0x9b, 0xa));
        SetGdt(LongCode3, Descriptor(0, 0xf_ffff, 0xfb, 0xa));
        SetGdt(TssSelector, Descriptor(Tss, 0x67, 0x8b, 0));
        SetGdt(LdtSelector, Descriptor(Ldt, 0xfff, 0x82, 0));
    }
}
