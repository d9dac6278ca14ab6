using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>Code that changes what code means: modes, code sizes and code segments, between loops that are hot (Intel SDM 3A 9.8, 9.9).</summary>
public sealed unsafe class ModeChangeTests
{
    private const uint Real = TestMachine.Code, Narrow = TestMachine.Code + 0x1000, Wide = TestMachine.Code + 0x2000;
    private const uint BackNarrow = TestMachine.Code + 0x1800, BackReal = TestMachine.Code + 0x800;
    private const uint Shared = TestMachine.Code + 0x3000;
    private const uint Pointers = TestMachine.Data;
    private const ushort Code16 = TestMachine.FirstFree, Data16 = TestMachine.FirstFree + 8;

    [EngineTheory]
    [InlineData(1)]
    [InlineData(20)]
    public void From_real_address_mode_to_64_bit_mode_and_back_each_modes_loop_counts_right(int rounds)
    {
        using var machine = new TestMachine();
        machine.EnterLongSmall();
        machine.SetGdt(Code16, TestMachine.Descriptor(TestMachine.Code, 0xffff, 0x9b, 0));
        machine.SetGdt(Data16, TestMachine.Descriptor(TestMachine.Code, 0xffff, 0x93, 0));
        machine.State->Cr0 = Cr0.Et;
        machine.State->Cr4 = 0;
        machine.State->Efer = 0;
        machine.Processor.Mmu.Flush();
        machine.EnterReal();
        machine.State->Idtr = default;
        Step16(machine, rounds);
        Step32(machine);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.mov(ecx, 1000);
            a.Label(ref top);
            a.add(rbx, 1000);
            a.dec(ecx);
            a.jnz(top);
            a.jmp(__fword_ptr[Pointers + 0x10]);
        }, Wide);
        StepBack(machine);
        machine.State->Gpr[Gpr.Rbx] = machine.State->Gpr[Gpr.Rsi] = machine.State->Gpr[Gpr.Rdi] = machine.State->Gpr[Gpr.Rbp] = 0;
        machine.RunToHalt(1_000_000).ShouldBe(ExitReason.Halt);
        machine.State->Mode.ShouldBe(ProcessorMode.Real);
        machine.State->Gpr[Gpr.Rbp].ShouldBe((ulong)rounds);
        machine.State->Gpr[Gpr.Rsi].ShouldBe(1000UL * (ulong)rounds);
        machine.State->Gpr[Gpr.Rdi].ShouldBe(10_000UL * (ulong)rounds);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(1_100_000UL * (ulong)rounds);
        machine.State->Efer.ShouldBe(Efer.Lme);
    }

    [EngineFact]
    public void The_same_bytes_are_other_instructions_in_64_bit_and_in_compatibility_mode()
    {
        using TestMachine machine = MakeLong();
        // 64-bit mode: add rax, 5; retf. Compatibility mode: dec eax; add eax, 5; retf.
        machine.Store(Shared, 0x48, 0x83, 0xc0, 5, 0xcb);
        Pointer(machine, Pointers, Shared, TestMachine.Code0);
        Pointer(machine, Pointers + 8, Shared, TestMachine.LongCode0);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.call(__fword_ptr[Pointers]);
            a.call(__fword_ptr[Pointers + 8]);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rax] = 100;
        machine.State->Gpr[Gpr.Rcx] = 2000;
        machine.ShouldHalt(machine.InstructionStarts(64, 6)[5], RflagsBits.Zf | RflagsBits.Pf, TestMachine.Stack,
            (Gpr.Rax, 100 + (9 * 2000)), (Gpr.Rcx, 0));
    }

    [EngineFact]
    public void A_loop_of_the_same_bytes_runs_as_16_bit_and_as_32_bit_code_in_turn()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Seed();
        const uint From16 = TestMachine.Code + 0x200, Second = TestMachine.Code + 0x100, Last = TestMachine.Code + 0x300, Narrow16 = 0x7000;
        machine.SetGdt(Code16, TestMachine.Descriptor(TestMachine.Code, 0xffff, 0x9b, 0));
        // "add eax, 90900001h" or "add ax, 1; nop; nop"; dec (e)cx; jnz to the beginning; jmp far [ebp + 0] or [di + 0].
        machine.Store(Shared, 0x05, 1, 0, 0x90, 0x90, 0x49, 0x75, 0xf8, 0xff, 0x6d, 0);
        Pointer(machine, Pointers, Shared, TestMachine.Code0);
        Pointer(machine, Pointers + 8, Shared - TestMachine.Code, Code16);
        Pointer(machine, Pointers + 16, Second, TestMachine.Code0);
        machine.Write16(Narrow16, (ushort)(From16 - TestMachine.Code));
        machine.Write16(Narrow16 + 2, Code16);
        machine.Assemble(32, a =>
        {
            a.mov(ecx, 100);
            a.mov(ebp, Pointers + 16);
            a.jmp(__fword_ptr[Pointers]);
        });
        machine.Assemble(32, a =>
        {
            a.mov(ecx, 100);
            a.mov(edi, Narrow16);
            a.jmp(__fword_ptr[Pointers + 8]);
        }, Second);
        machine.Store(From16, 0x66, 0xea, 0x00, 0x03, 0x01, 0x00, 0x08, 0x00);      // jmp 8:10300h
        machine.Assemble(32, a =>
        {
            Label end = a.CreateLabel();
            a.dec(edx);
            a.jz(end);
            a.jmp(TestMachine.Code);
            a.Label(ref end);
            a.hlt();
        }, Last);
        machine.State->Gpr[Gpr.Rax] = 0;
        machine.State->Gpr[Gpr.Rdx] = 30;
        uint sum = 0;
        for (int i = 0; i < 30; i++)
        {
            for (int j = 0; j < 100; j++) sum += 0x9090_0001;
            sum = (sum & 0xffff_0000) | (ushort)(sum + 100);
        }

        machine.RunToHalt(1_000_000).ShouldBe(ExitReason.Halt);
        machine.State->Mode.ShouldBe(ProcessorMode.Protected);
        machine.ShouldHaveRegisters((Gpr.Rax, sum), (Gpr.Rcx, 0), (Gpr.Rdx, 0), (Gpr.Rbp, Pointers + 16), (Gpr.Rdi, Narrow16));
    }

    [EngineFact]
    public void Code_of_16_bits_in_a_segment_that_begins_inside_a_page_loops_calls_and_jumps_across_pages()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Seed();
        const uint Base = 0x12348;
        const uint At = 0x13fe0;                            // the loop crosses a page's end
        machine.Load(SegmentIndex.Cs, Code16, Base, 0xffff, 0x009b);
        machine.Load(SegmentIndex.Ss, TestMachine.Data0, 0x30000, 0xffff, 0x0093);
        machine.Processor.Mmu.FlushCodeTlb();
        machine.Processor.RefreshMode();
        machine.Assemble(16, a =>
        {
            Label top = a.CreateLabel();
            Label routine = a.CreateLabel();
            Label next = a.CreateLabel();
            a.Label(ref top);
            a.add(eax, 3);
            a.call(routine);
            a.mov(si, (ushort)(At + 0x40 - Base));
            a.jmp(si);
            for (int i = 0; i < 30; i++) a.nop();
            a.Label(ref routine);
            a.add(ebx, 0x10001);
            a.ret();
            for (int i = 0; i < 8; i++) a.nop();
            a.Label(ref next);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        }, At, Base);
        ulong[] starts = machine.InstructionStarts(16, 60, At);
        ulong continuation = starts[4 + 30 + 2 + 8];
        machine.Write16((uint)starts[2] + 1, (ushort)(continuation - Base));
        machine.State->Rip = At - Base;
        machine.State->Gpr[Gpr.Rax] = machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.State->Gpr[Gpr.Rsp] = 0x1234_8000;
        machine.State->Gpr[Gpr.Rsi] = 0xaaaa_0000;
        ulong halt = starts[4 + 30 + 2 + 8 + 2] + 1 - Base;
        machine.ShouldHalt(halt, RflagsBits.Zf | RflagsBits.Pf, 0x1234_8000,
            (Gpr.Rax, 3000), (Gpr.Rbx, 1000 * 0x10001UL), (Gpr.Rcx, 0), (Gpr.Rsi, 0xaaaa_0000 | (continuation - Base)));
    }

    [EngineFact]
    public void Far_calls_and_returns_in_a_hot_loop_keep_CS_and_the_stack()
    {
        using TestMachine machine = MakeLong();
        machine.Assemble(64, a =>
        {
            a.mov(r8w, cs);
            a.add(rbx, rdx);
            a.db(0x48, 0xcb);                                   // retf, 64 bits
        }, Shared);
        machine.Store(TestMachine.Code, 0x48, 0xff, 0x1c, 0x25);      // call m16:64
        machine.Write32(TestMachine.Code + 4, Pointers + 0x20);
        machine.Write64(Pointers + 0x20, Shared);
        machine.Write16(Pointers + 0x28, TestMachine.LongCode0);
        machine.Store(TestMachine.Code + 8, 0xff, 0xc9, 0x75, 0xf4, 0xf4);
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.R8] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.State->Gpr[Gpr.Rdx] = 5;
        machine.RunToHalt();
        machine.State->Rip.ShouldBe(TestMachine.Code + 13UL);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(5000UL);
        machine.State->Gpr[Gpr.R8].ShouldBe(TestMachine.LongCode0);
        machine.State->Gpr[Gpr.Rsp].ShouldBe(TestMachine.Stack);
    }

    private static TestMachine MakeLong()
    {
        var machine = new TestMachine();
        machine.EnterLongSmall();
        machine.UseInterruptStack();
        machine.MakeHandlersReturn();
        machine.Seed();
        return machine;
    }

    /// <summary>A far pointer m16:32.</summary>
    private static void Pointer(TestMachine machine, uint at, uint offset, ushort selector)
    {
        machine.Write32(at, offset);
        machine.Write16(at + 4, selector);
    }

    /// <summary>Real-address mode: counts in ESI, then protected mode.</summary>
    private static void Step16(TestMachine machine, int rounds)
    {
        machine.Write16(TestMachine.Code + 0x700, 0xfff);
        machine.Write32(TestMachine.Code + 0x702, TestMachine.Gdt);
        machine.Assemble(16, a =>
        {
            Label top = a.CreateLabel();
            Label go = a.CreateLabel();
            a.cmp(ebp, rounds);
            a.jne(go);
            a.hlt();
            a.Label(ref go);
            a.inc(ebp);
            a.mov(cx, 1000);
            a.Label(ref top);
            a.inc(si);
            a.dec(cx);
            a.jnz(top);
            a.db(0x66, 0x0f, 0x01, 0x16, 0x00, 0x07);           // o32 lgdt [700h]
            a.mov(eax, cr0);
            a.or(al, 1);
            a.mov(cr0, eax);
            a.db(0x66, 0xea);                                   // jmp Code0:Narrow
            a.dd(Narrow);
            a.dw(TestMachine.Code0);
        }, Real, TestMachine.Code);
    }

    /// <summary>Protected mode: counts in EDI; IA-32e mode: counts in EBX in compatibility mode; then 64-bit mode.</summary>
    private static void Step32(TestMachine machine)
    {
        Pointer(machine, Pointers + 0x10, BackNarrow, TestMachine.Code0);
        machine.Assemble(32, a =>
        {
            Label top = a.CreateLabel();
            Label compatible = a.CreateLabel();
            a.mov(eax, TestMachine.Data0);
            a.mov(ds, ax);
            a.mov(es, ax);
            a.mov(ss, ax);
            a.mov(ecx, 1000);
            a.Label(ref top);
            a.add(edi, 10);
            a.dec(ecx);
            a.jnz(top);
            a.mov(eax, (uint)Cr4.Pae);
            a.mov(cr4, eax);
            a.mov(eax, TestMachine.PageTables);
            a.mov(cr3, eax);
            a.mov(ecx, 0xc000_0080);
            a.rdmsr();
            a.or(eax, 0x100);
            a.wrmsr();
            a.mov(eax, cr0);
            a.bts(eax, 31);
            a.mov(cr0, eax);
            a.mov(ecx, 1000);
            a.Label(ref compatible);
            a.add(ebx, 100);
            a.dec(ecx);
            a.jnz(compatible);
            a.db(0xea);                                         // jmp LongCode0:Wide
            a.dd(Wide);
            a.dw(TestMachine.LongCode0);
        }, Narrow);
    }

    /// <summary>Compatibility mode, protected mode, 16-bit protected mode, real-address mode.</summary>
    private static void StepBack(TestMachine machine)
    {
        machine.Assemble(32, a =>
        {
            a.mov(eax, cr0);
            a.btr(eax, 31);
            a.mov(cr0, eax);
            a.db(0xea);
            a.dd(BackReal - TestMachine.Code);
            a.dw(Code16);
        }, BackNarrow);
        machine.Assemble(16, a =>
        {
            a.mov(ax, Data16);
            a.mov(ds, ax);
            a.mov(es, ax);
            a.mov(ss, ax);
            a.mov(eax, cr0);
            a.and(al, ~1);
            a.mov(cr0, eax);
            a.db(0xea, 0x00, 0x09, 0x00, 0x10);                 // jmp 1000h:900h
        }, BackReal, TestMachine.Code);
        machine.Assemble(16, a =>
        {
            a.mov(ax, cs);
            a.mov(ds, ax);
            a.mov(ss, ax);
            a.db(0xea, 0x00, 0x00, 0x00, 0x10);                 // jmp 1000h:0
        }, TestMachine.Code + 0x900, TestMachine.Code);
    }
}
