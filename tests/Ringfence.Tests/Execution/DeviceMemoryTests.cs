using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>
/// Accesses to devices: each instruction makes exactly the accesses the manual gives it, of the operand's size and once, whether its site has
/// only ever seen RAM or not; and a fault behind one does not repeat it.
/// </summary>
public sealed unsafe class DeviceMemoryTests
{
    private const uint Physical = 0x1000_0000;
    private const uint Page = SmallPages.Window;
    private const uint Register = Page + 0x40;
    private const ulong Zero = RflagsBits.Zf | RflagsBits.Pf;
    private const ulong Old = 0x8877_6655_4433_2211;

    /// <summary>Instructions on [RDI] with RAX = 0102030405060708h, their size, whether they read, and what they write.</summary>
    private static readonly Dictionary<string, (Action<Assembler> Emit, int Size, bool Reads, ulong? Written)> Accesses = new()
    {
        ["load 8"] = (a => a.mov(bl, __[rdi]), 1, true, null),
        ["load 16"] = (a => a.mov(bx, __[rdi]), 2, true, null),
        ["load 32"] = (a => a.mov(ebx, __[rdi]), 4, true, null),
        ["load 64"] = (a => a.mov(rbx, __[rdi]), 8, true, null),
        ["movzx"] = (a => a.movzx(ebx, __word_ptr[rdi]), 2, true, null),
        ["movsxd"] = (a => a.movsxd(rbx, __dword_ptr[rdi]), 4, true, null),
        ["movups load"] = (a => a.movups(xmm1, __[rdi]), 16, true, null),
        ["movq load"] = (a => a.movq(xmm1, __qword_ptr[rdi]), 8, true, null),
        ["cmp"] = (a => a.cmp(__[rdi], ax), 2, true, null),
        ["test"] = (a => a.test(__byte_ptr[rdi], 1), 1, true, null),
        ["add load"] = (a => a.add(rbx, __[rdi]), 8, true, null),
        ["push memory"] = (a => a.push(__qword_ptr[rdi]), 8, true, null),
        ["bt"] = (a => a.bt(__dword_ptr[rdi], 3), 4, true, null),
        ["store 8"] = (a => a.mov(__[rdi], al), 1, false, 8),
        ["store 16"] = (a => a.mov(__[rdi], ax), 2, false, 0x0708),
        ["store 32"] = (a => a.mov(__[rdi], eax), 4, false, 0x0506_0708),
        ["store 64"] = (a => a.mov(__[rdi], rax), 8, false, 0x0102_0304_0506_0708),
        ["store immediate"] = (a => a.mov(__dword_ptr[rdi], 0x77), 4, false, 0x77),
        ["setc"] = (a => a.setc(__byte_ptr[rdi]), 1, false, 0),
        ["movups store"] = (a => a.movups(__[rdi], xmm0), 16, false, 0),
        ["movss store"] = (a => a.movss(__dword_ptr[rdi], xmm0), 4, false, 0),
        ["pop memory"] = (a => { a.push(5); a.pop(__qword_ptr[rdi]); }, 8, false, 5),
        ["add"] = (a => a.add(__[rdi], eax), 4, true, 0x4433_2211 + 0x0506_0708),
        ["sub 8"] = (a => a.sub(__[rdi], al), 1, true, 9),
        ["inc"] = (a => a.inc(__word_ptr[rdi]), 2, true, 0x2212),
        ["dec"] = (a => a.dec(__qword_ptr[rdi]), 8, true, Old - 1),
        ["not"] = (a => a.not(__dword_ptr[rdi]), 4, true, ~0x4433_2211U),
        ["neg"] = (a => a.neg(__byte_ptr[rdi]), 1, true, 0xef),
        ["shl"] = (a => a.shl(__dword_ptr[rdi], 4), 4, true, 0x4332_2110),
        ["bts"] = (a => a.bts(__dword_ptr[rdi], 1), 4, true, 0x4433_2213),
        ["lock or"] = (a => a.@lock.or(__dword_ptr[rdi], 0xff), 4, true, 0x4433_22ff),
        ["lock inc"] = (a => a.@lock.inc(__qword_ptr[rdi]), 8, true, Old + 1),
        ["xchg"] = (a => a.xchg(__[rdi], eax), 4, true, 0x0506_0708),
        ["lock xadd"] = (a => a.@lock.xadd(__[rdi], al), 1, true, 0x19),
        ["cmpxchg unequal"] = (a => a.cmpxchg(__[rdi], ebx), 4, true, 0x4433_2211),
        ["lock cmpxchg equal"] = (a => { a.mov(eax, 0x4433_2211); a.@lock.cmpxchg(__[rdi], edi); }, 4, true, Register),
        ["xor imm"] = (a => a.xor(__word_ptr[rdi], 0x0101), 2, true, 0x2310),
        ["stosd"] = (a => a.stosd(), 4, false, 0x0506_0708),
        ["lodsw"] = (a => { a.mov(rsi, rdi); a.lodsw(); }, 2, true, null),
        ["scasb"] = (a => a.scasb(), 1, true, null),
        ["fnstcw"] = (a => { a.fninit(); a.fnstcw(__word_ptr[rdi]); }, 2, false, 0x37f),
    };

    public static TheoryData<string, bool> Instructions => ColdAndHot.Rows(Accesses.Keys);

    [EngineTheory]
    [MemberData(nameof(Instructions))]
    public void An_instruction_makes_its_accesses_once_and_in_its_size_also_where_it_has_only_seen_RAM(string name, bool hot)
    {
        (Action<Assembler> emit, int size, bool reads, ulong? written) = Accesses[name];
        using TestMachine machine = Make(out RecordingDevice device);
        BitConverter.TryWriteBytes(device.Memory[0x40..], Old);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.mov(rax, 0x0102_0304_0506_0708UL);
            a.mov(esp, TestMachine.Stack);
            a.test(eax, eax);
            emit(a);
            a.mov(rdi, r12);
            a.dec(r15);
            a.cmovz(rdi, r14);
            a.jns(top);
            a.hlt();
        });
        // The last of the iterations is the device's.
        machine.State->Gpr[Gpr.Rdi] = hot ? TestMachine.Data : Register;
        machine.State->Gpr[Gpr.R12] = TestMachine.Data;
        machine.State->Gpr[Gpr.R14] = Register;
        machine.State->Gpr[Gpr.R15] = hot ? 1000UL : 0;
        machine.RunToHalt().ShouldBe(Ringfence.Processors.Exits.ExitReason.Halt);
        List<DeviceOperation> expected = [];
        ulong mask = size >= 8 ? ulong.MaxValue : (1UL << (size * 8)) - 1;
        if (reads) expected.Add(new DeviceOperation(false, 0x40, size, Old & mask));
        if (written is ulong value) expected.Add(new DeviceOperation(true, 0x40, size, value & mask));
        device.Operations.ShouldBe(expected);
    }

    [EngineFact]
    public void A_hot_loop_on_a_device_makes_each_access_in_order()
    {
        using TestMachine machine = Make(out RecordingDevice device);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.mov(__[Register], ecx);
            a.add(ebx, __[Register]);
            a.inc(__byte_ptr[Register + 8]);
            a.mov(__[TestMachine.Data], ebx);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 500;
        machine.ShouldHalt(machine.InstructionStarts(64, 8)[7], Zero, TestMachine.Stack, (Gpr.Rbx, 125_250), (Gpr.Rcx, 0));
        device.Operations.Count.ShouldBe(2000);
        for (int i = 0; i < 500; i++)
        {
            device.Operations[i * 4].ShouldBe(new DeviceOperation(true, 0x40, 4, (ulong)(500 - i)));
            device.Operations[(i * 4) + 1].ShouldBe(new DeviceOperation(false, 0x40, 4, (ulong)(500 - i)));
            device.Operations[(i * 4) + 2].ShouldBe(new DeviceOperation(false, 0x48, 1, (byte)i));
            device.Operations[(i * 4) + 3].ShouldBe(new DeviceOperation(true, 0x48, 1, (byte)(i + 1)));
        }
    }

    [EngineFact]
    public void RAM_and_a_device_in_turn_at_one_site_are_told_apart()
    {
        using TestMachine machine = Make(out RecordingDevice device);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.add(__dword_ptr[rdi], 1);
            a.xchg(rdi, rsi);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rdi] = TestMachine.Data;
        machine.State->Gpr[Gpr.Rsi] = Register;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.RunToHalt();
        machine.Read32(TestMachine.Data).ShouldBe(500U);
        device.Operations.Count.ShouldBe(1000);
        device.Operations[^1].ShouldBe(new DeviceOperation(true, 0x40, 4, 500));
    }

    [EngineTheory]
    [InlineData("push")]
    [InlineData("call")]
    [InlineData("pushfq")]
    public void A_stack_on_a_device_is_written_and_read_once_for_each_push_and_pop(string kind)
    {
        using TestMachine machine = Make(out RecordingDevice device);
        machine.Assemble(64, a =>
        {
            Label routine = a.CreateLabel();
            a.mov(eax, 0x99);
            a.test(eax, eax);
            switch (kind)
            {
                case "push":
                    a.push(rax);
                    a.pop(rbx);
                    break;
                case "call":
                    a.call(routine);
                    a.hlt();
                    a.Label(ref routine);
                    a.pop(rbx);
                    break;
                default:
                    a.pushfq();
                    a.pop(rbx);
                    break;
            }

            a.hlt();
            if (kind != "call")
            {
                a.Label(ref routine);
                a.nop();
            }
        });
        machine.State->Gpr[Gpr.Rsp] = Page + 0x80;
        machine.RunToHalt();
        ulong value = kind switch
        {
            "push" => 0x99UL,
            "call" => machine.InstructionStarts(64, 4)[3],
            _ => RflagsBits.AlwaysOne | RflagsBits.Pf,
        };
        machine.State->Gpr[Gpr.Rbx].ShouldBe(value);
        machine.State->Gpr[Gpr.Rsp].ShouldBe(Page + 0x80UL);
        device.Operations.ShouldBe([new DeviceOperation(true, 0x78, 8, value), new DeviceOperation(false, 0x78, 8, value)]);
    }

    [EngineFact]
    public void Repeated_string_instructions_access_a_device_once_for_each_element()
    {
        using TestMachine machine = Make(out RecordingDevice device);
        machine.Assemble(64, a =>
        {
            a.rep.stosd();
            a.mov(edi, TestMachine.Data);
            a.mov(esi, Register);
            a.mov(ecx, 5);
            a.rep.movsw();
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rax] = 0x0403_0201;
        machine.State->Gpr[Gpr.Rdi] = Register;
        machine.State->Gpr[Gpr.Rcx] = 3;
        machine.RunToHalt();
        List<DeviceOperation> expected = [];
        for (uint i = 0; i < 3; i++) expected.Add(new DeviceOperation(true, 0x40 + (i * 4), 4, 0x0403_0201));
        for (uint i = 0; i < 5; i++) expected.Add(new DeviceOperation(false, 0x40 + (i * 2), 2, (i & 1) == 0 ? 0x0201U : 0x0403U));
        device.Operations.ShouldBe(expected);
        machine.Read64(TestMachine.Data).ShouldBe(0x0403_0201_0403_0201UL);
        machine.Read16(TestMachine.Data + 8).ShouldBe((ushort)0x0201);
    }

    [EngineFact]
    public void A_fault_behind_an_access_to_a_device_does_not_repeat_it()
    {
        using TestMachine machine = Make(out RecordingDevice device);
        machine.Assemble(64, a =>
        {
            a.mov(eax, __[Register]);
            a.inc(__dword_ptr[Register]);
            a.mov(ebx, __[rdi]);
            a.mov(__[Register + 4], ebx);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rdi] = Page + 0x1230;
        ulong[] starts = machine.InstructionStarts(64, 5);
        machine.ShouldFault(ExceptionVector.PageFault, 0, starts[2], 0, TestMachine.Stack, (Gpr.Rax, 0), (Gpr.Rdi, Page + 0x1230));
        device.Operations.ShouldBe([new(false, 0x40, 4, 0), new(false, 0x40, 4, 0), new(true, 0x40, 4, 1)]);
        machine.Map(Page + 0x1000, 0x200000);
        machine.Write32(0x200230, 7);
        machine.Resume();
        machine.RunToHalt();
        device.Operations.Count.ShouldBe(4);
        device.Operations[3].ShouldBe(new DeviceOperation(true, 0x44, 4, 7));
    }

    [EngineFact]
    public void An_instruction_that_reads_a_device_and_writes_a_missing_page_reads_again_when_it_is_executed_again()
    {
        using TestMachine machine = Make(out RecordingDevice device);
        machine.Assemble(64, a =>
        {
            a.movsd();
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rsi] = Register;
        machine.State->Gpr[Gpr.Rdi] = Page + 0x1000;
        machine.ShouldFault(ExceptionVector.PageFault, 2, TestMachine.Code, 0, TestMachine.Stack, (Gpr.Rsi, Register), (Gpr.Rdi, Page + 0x1000));
        machine.Map(Page + 0x1000, 0x200000);
        machine.Resume();
        machine.ShouldHalt(TestMachine.Code + 2, 0, TestMachine.Stack, (Gpr.Rsi, Register + 4), (Gpr.Rdi, Page + 0x1004));
        device.Operations.ShouldBe([new(false, 0x40, 4, 0), new(false, 0x40, 4, 0)]);
    }

    [EngineTheory]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    [InlineData(16)]
    public void A_hot_loop_whose_accesses_cross_from_page_to_page_reads_and_writes_both(int size)
    {
        using TestMachine machine = Make(out _);
        machine.Map(Page + 0x5000, 0x203000);
        machine.Map(Page + 0x6000, 0x201000);
        uint at = Page + 0x6000 - (uint)(size / 2);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            switch (size)
            {
                case 2: a.add(__[at], cx); break;
                case 4: a.add(__[at], ecx); break;
                case 8: a.add(__[at], rcx); break;
                default:
                    a.movups(xmm0, __[at]);
                    a.movq(xmm1, rcx);
                    a.punpcklqdq(xmm1, xmm1);
                    a.paddq(xmm0, xmm1);
                    a.movups(__[at], xmm0);
                    break;
            }

            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.RunToHalt();
        byte[] bytes = new byte[16];
        machine.Memory.Read(new Ringfence.Memory.GuestPhysical(0x204000 - (ulong)(size / 2)), bytes.AsSpan(0, size / 2));
        machine.Memory.Read(new Ringfence.Memory.GuestPhysical(0x201000), bytes.AsSpan(size / 2, size / 2));
        ulong mask = size >= 8 ? ulong.MaxValue : (1UL << (size * 8)) - 1;
        BitConverter.ToUInt64(bytes).ShouldBe(500_500UL & mask);
        if (size == 16) BitConverter.ToUInt64(bytes, 8).ShouldBe(500_500UL);
    }

    [EngineFact]
    public void A_page_that_was_RAM_and_becomes_a_device_is_one_at_a_hot_site()
    {
        using TestMachine machine = Make(out RecordingDevice device);
        machine.Map(Page + 0x2000, 0x200000);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            Label rounds = a.CreateLabel();
            a.Label(ref rounds);
            a.mov(ecx, 1000);
            a.Label(ref top);
            a.inc(__dword_ptr[Page + 0x2010]);
            a.dec(ecx);
            a.jnz(top);
            a.mov(__[SmallPages.Pte(Page + 0x2000)], rax);
            a.invlpg(__[Page + 0x2000]);
            a.dec(edx);
            a.jnz(rounds);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rax] = Physical | 7UL;
        machine.State->Gpr[Gpr.Rdx] = 2;
        machine.RunToHalt();
        machine.Read32(0x200010).ShouldBe(1000U);
        device.Operations.Count.ShouldBe(2000);
        device.Operations[^1].ShouldBe(new DeviceOperation(true, 0x10, 4, 1000));
    }

    [EngineFact]
    public void An_interrupt_that_a_device_raises_in_a_loop_is_taken_in_it()
    {
        using TestMachine machine = Make(out RecordingDevice device);
        int accesses = 0;
        device.Accessed = _ =>
        {
            if (++accesses != 700) return;
            machine.Bus.Interrupts.Enqueue(0x44);
            machine.Processor.Post(ProcessorEvents.Interrupt);
        };
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.mov(eax, __[Register]);
            a.inc(ebx);
            a.jmp(top);
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Rflags |= RflagsBits.If;
        machine.RunToVector().ShouldBe(0x44);
        machine.State->Gpr[Gpr.Rbx].ShouldBeInRange(699UL, 700UL);
        accesses.ShouldBe(700);
    }

    [EngineFact]
    public void Code_is_executed_from_a_device()
    {
        using TestMachine machine = Make(out RecordingDevice device);
        new byte[] { 0xff, 0xc3, 0xff, 0xc9, 0x75, 0xfa, 0xf4 }.CopyTo(device.Memory[0x100..]);  // inc ebx; dec ecx; jnz -6; hlt
        machine.StartAt(Page + 0x100);
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 200;
        machine.ShouldHalt(Page + 0x107, Zero, TestMachine.Stack, (Gpr.Rbx, 200), (Gpr.Rcx, 0));
        device.Operations.ShouldAllBe(o => !o.IsWrite);
    }

    private static TestMachine Make(out RecordingDevice device)
    {
        var machine = new TestMachine();
        machine.EnterLongSmall();
        machine.UseInterruptStack();
        machine.MakeHandlersReturn();
        machine.Seed();
        device = new RecordingDevice();
        machine.Memory.MapDevice("recorder", Physical, 0x1000, device);
        machine.Map(Page, Physical);
        return machine;
    }
}
