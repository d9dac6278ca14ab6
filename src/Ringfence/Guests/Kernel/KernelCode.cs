using Iced.Intel;

namespace Ringfence.Guests.Kernel;

/// <summary>
/// The kernel: one program in several parts, all emitted into one assembler. Registers in calls between parts: arguments in
/// RDI, RSI, RDX, result in RAX; RBX, RBP and R12 to R15 are kept. The kernel runs with interrupts off, except while idle
/// and inside the write system call, and is never preempted. It uses no SSE or x87 registers.
/// </summary>
internal sealed class KernelCode
{
    public KernelCode(ulong shellAddress, int userTextBytes, int userConstantsBytes)
    {
        Assembler = Code.Assembler;
        ShellAddress = shellAddress;
        UserTextPages = PagesOf(userTextBytes);
        UserConstantsPages = PagesOf(userConstantsBytes);
        Processor = new ProcessorTables(this);
        Boot = new BootCode(this);
        Console = new SerialConsole(this);
        Paging = new Paging(this);
        Apic = new Apic(this);
        Clock = new Clock(this);
        Scheduler = new Scheduler(this);
        Tasks = new Tasks(this);
        Interrupts = new Interrupts(this);
        Faults = new Faults(this);
        UserMemory = new UserMemory(this);
        SystemCalls = new SystemCalls(this);
        Power = new Power(this);
    }

    public CodeBuilder Code { get; } = new(
        MemoryMap.KernelBase + MemoryMap.TextPhysical + MemoryMap.LongModeOffset, MemoryMap.KernelBase + MemoryMap.ReadOnlyPhysical);

    public Assembler Assembler { get; }

    /// <summary>Variables and tables with a first value.</summary>
    public DataSection Data { get; } = new(MemoryMap.KernelBase + MemoryMap.DataPhysical);

    /// <summary>Variables that start as zeros.</summary>
    public DataSection Zeroed { get; } = new(MemoryMap.KernelBase + MemoryMap.ZeroedPhysical);

    public ulong ShellAddress { get; }

    public int UserTextPages { get; }

    public int UserConstantsPages { get; }

    public ProcessorTables Processor { get; }

    public BootCode Boot { get; }

    public SerialConsole Console { get; }

    public Paging Paging { get; }

    public Apic Apic { get; }

    public Clock Clock { get; }

    public Scheduler Scheduler { get; }

    public Tasks Tasks { get; }

    public Interrupts Interrupts { get; }

    public Faults Faults { get; }

    public UserMemory UserMemory { get; }

    public SystemCalls SystemCalls { get; }

    public Power Power { get; }

    /// <summary>Physical address where the boot loader enters.</summary>
    public uint BootEntry => MemoryMap.TextPhysical + BootCode.EntryOffset;

    /// <summary>The page with the Multiboot header and the 32-bit code.</summary>
    public byte[] AssembleBoot() => Boot.AssembleProtectedMode();

    /// <summary>The 64-bit code; it starts with the entry from the 32-bit code.</summary>
    public byte[] Assemble()
    {
        Boot.Emit();
        Console.Emit();
        Paging.Emit();
        Apic.Emit();
        Clock.Emit();
        Scheduler.Emit();
        Tasks.Emit();
        Interrupts.Emit();
        Faults.Emit();
        UserMemory.Emit();
        SystemCalls.Emit();
        Power.Emit();
        return Code.Assemble();
    }

    private static int PagesOf(int bytes) => (bytes + (int)MemoryMap.PageBytes - 1) / (int)MemoryMap.PageBytes;
}
