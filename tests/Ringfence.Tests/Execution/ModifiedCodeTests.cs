using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>
/// Self-modifying code (Intel SDM 3A 11.6): a store to the linear address that an instruction is fetched from is seen by the very next
/// instruction, whatever an engine has decoded or translated before.
/// </summary>
public sealed unsafe class ModifiedCodeTests
{
    private const uint Target = TestMachine.Code + 0x40;
    private const uint Data = TestMachine.Data;

    // mov cl, 1; mov dl, 2; mov ch, 3; mov dh, 4
    private static readonly byte[] Old = [0xb1, 1, 0xb2, 2, 0xb5, 3, 0xb6, 4];

    // mov bl, 7; mov dl, 8; mov bh, 9; mov dh, 10
    private static readonly byte[] New = [0xb3, 7, 0xb2, 8, 0xb7, 9, 0xb6, 10];

    private static readonly Dictionary<string, Action<Assembler>> Stores = new()
    {
        ["mov"] = a => a.mov(__[rdi], rax),
        ["movnti"] = a => a.movnti(__[rdi], rax),
        ["push"] = a => a.push(rax),
        ["pop"] = a => a.pop(__qword_ptr[rdi]),
        ["xchg"] = a => a.xchg(__[rdi], rax),
        ["cmpxchg"] = a => a.cmpxchg(__[rdi], r8),
        ["stosq"] = a => a.stosq(),
        ["movsq"] = a => a.movsq(),
        ["rep stosq"] = a => a.rep.stosq(),
        ["rep movsb"] = a => a.rep.movsb(),
        ["add"] = a => a.add(__[rdi], r8),
        ["lock add"] = a => a.@lock.add(__[rdi], r8),
        ["lock xadd"] = a => a.@lock.xadd(__[rdi], r8),
        ["xor"] = a => a.xor(__[rdi], r9),
        ["movq"] = a => a.movq(__[rdi], xmm0),
        ["movups"] = a => a.movups(__[rdi], xmm0),
        ["movaps"] = a => a.movaps(__[rdi], xmm0),
        ["movlps"] = a => a.movlps(__[rdi], xmm0),
        ["fistp"] = a => a.fistp(__qword_ptr[rdi]),
    };

    public static TheoryData<string> StoreNames => new(Stores.Keys);

    [EngineTheory]
    [InlineData(16, 1)]
    [InlineData(16, 2)]
    [InlineData(16, 4)]
    [InlineData(32, 1)]
    [InlineData(32, 2)]
    [InlineData(32, 4)]
    [InlineData(64, 1)]
    [InlineData(64, 2)]
    [InlineData(64, 4)]
    [InlineData(64, 8)]
    public void An_instruction_overwritten_by_the_one_before_it_in_its_block_is_the_new_one(int bits, int size)
    {
        using var machine = new TestMachine();
        uint code = machine.Enter(bits);
        machine.Store(Target, [.. Old, 0xf4]);
        uint target = code + 0x40;
        ulong value = BitConverter.ToUInt64(New);
        uint start = machine.AssembleUpTo(bits, Target, a =>
        {
            if (bits == 64) a.mov(rax, value);
            else a.mov(eax, (uint)value);
            a.mov(edi, target);
            if (size == 1) a.mov(__byte_ptr[target], 0xb3);
            else if (size == 2) a.mov(__[target], ax);
            else if (size == 4) a.mov(__[target], eax);
            else a.mov(__[rdi], rax);
        }, TestMachine.Code - code);
        machine.State->Rip = start - TestMachine.Code + code;
        byte[] expected = size == 1 ? [0xb3, .. Old[1..]] : [.. New[..size], .. Old[size..]];
        ulong stack = machine.State->Gpr[Gpr.Rsp];
        machine.ShouldHalt(target + 9, 0, stack, After(machine, expected, value, target));
    }

    [EngineTheory]
    [MemberData(nameof(StoreNames))]
    public void Every_kind_of_store_changes_the_instructions_behind_it(string store)
    {
        using var machine = new TestMachine();
        machine.Enter(64);
        ulong value = BitConverter.ToUInt64(New);
        ulong old = BitConverter.ToUInt64(Old);
        machine.Store(Target, [.. Old, 0xf4, 0, 0, 0, 0, 0, 0, 0]);
        machine.Write64(Data, value);
        bool compares = store == "cmpxchg";
        bool pops = store == "pop";
        uint start = machine.AssembleUpTo(64, Target, Stores[store]);
        VcpuState* s = machine.State;
        s->Gpr[Gpr.Rax] = compares ? old : value;
        s->Gpr[Gpr.Rdi] = Target;
        s->Gpr[Gpr.Rsi] = Data;
        s->Gpr[Gpr.Rcx] = store == "rep movsb" ? 8UL : 1UL;
        s->Gpr[Gpr.R8] = compares ? value : value - old;
        s->Gpr[Gpr.R9] = value ^ old;
        s->Gpr[Gpr.Rsp] = pops ? Data : Target + 8UL;
        s->Xmm[0] = value;
        s->Xmm[1] = 0xf4;
        s->Rip = start;
        if (store == "fistp")
        {
            s->Rip = machine.AssembleUpTo(64, start, a => { a.fninit(); a.fild(__qword_ptr[rsi]); });
        }

        machine.RunToHalt().ShouldBe(ExitReason.Halt);
        s->Rip.ShouldBe(Target + 9UL);
        machine.Read64(Target).ShouldBe(value);
        ((byte)s->Gpr[Gpr.Rbx]).ShouldBe((byte)7);
        ((byte)(s->Gpr[Gpr.Rbx] >> 8)).ShouldBe((byte)9);
        ((ushort)s->Gpr[Gpr.Rdx]).ShouldBe((ushort)0x0a08);
        s->Gpr[Gpr.Rsp].ShouldBe(store == "push" ? Target : pops ? Data + 8UL : Target + 8UL);
    }

    [EngineTheory]
    [InlineData(16)]
    [InlineData(32)]
    [InlineData(64)]
    public void A_block_that_changes_its_own_loop_head_executes_what_it_has_written_each_time(int bits)
    {
        using var machine = new TestMachine();
        uint code = machine.Enter(bits);
        machine.Assemble(bits, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.mov(al, 1);
            a.add(ebx, eax);
            a.inc(__byte_ptr[code + 1]);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        }, @base: TestMachine.Code - code);
        machine.State->Gpr[Gpr.Rax] = machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 200;
        machine.ShouldHalt(End(machine, bits, 6, code), RflagsBits.Zf | RflagsBits.Pf, machine.State->Gpr[Gpr.Rsp],
            (Gpr.Rax, 200), (Gpr.Rbx, 200 * 201 / 2), (Gpr.Rcx, 0));
    }

    [EngineTheory]
    [InlineData(16)]
    [InlineData(32)]
    [InlineData(64)]
    public void An_immediate_patched_between_two_thousand_iterations_of_a_hot_loop_counts_from_then_on(int bits)
    {
        using var machine = new TestMachine();
        uint code = machine.Enter(bits);
        ulong stack = machine.State->Gpr[Gpr.Rsp];
        // Behind MOV ECX and the opcode of ADD EAX, each with an operand size prefix in 16-bit code.
        uint immediate = bits == 16 ? 6U + 2 : 5U + 1;
        machine.Assemble(bits, a =>
        {
            Label top = a.CreateLabel();
            Label again = a.CreateLabel();
            a.Label(ref again);
            a.mov(ecx, 1000);
            a.Label(ref top);
            a.add(eax, 0x01000001);
            a.dec(ecx);
            a.jnz(top);
            a.mov(ebx, code + immediate);
            a.sub(__dword_ptr[ebx], 0x00fffffe);
            a.dec(edx);
            a.jnz(again);
            a.hlt();
        }, @base: TestMachine.Code - code);
        machine.State->Gpr[Gpr.Rax] = 0;
        machine.State->Gpr[Gpr.Rdx] = 2;
        machine.ShouldHalt(End(machine, bits, 9, code), RflagsBits.Zf | RflagsBits.Pf | RflagsBits.Cf, stack,
            (Gpr.Rax, (1000UL * (0x0100_0001UL + 3)) & 0xffff_ffff), (Gpr.Rbx, code + immediate), (Gpr.Rcx, 0), (Gpr.Rdx, 0));
    }

    [EngineFact]
    public void A_subroutine_in_another_page_patched_by_its_callers_loop_returns_the_patched_value_each_time()
    {
        using var machine = new TestMachine();
        machine.Enter(64);
        const uint Routine = TestMachine.Code + 0x1010;
        machine.Store(Routine, 0xb8, 0, 0, 0, 0, 0xc3);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.mov(__dword_ptr[Routine + 1], ecx);
            a.call(Routine);
            a.add(rbx, rax);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 3000;
        machine.ShouldHalt(End(machine, 64, 6, TestMachine.Code), RflagsBits.Zf | RflagsBits.Pf, TestMachine.Stack,
            (Gpr.Rax, 1), (Gpr.Rbx, 3000 * 3001 / 2), (Gpr.Rcx, 0));
    }

    [EngineFact]
    public void An_instruction_behind_a_branch_not_taken_is_the_new_one()
    {
        using var machine = new TestMachine();
        machine.Enter(64);
        machine.Store(Target, [.. Old, 0xf4]);
        ulong value = BitConverter.ToUInt64(New);
        uint start = machine.AssembleUpTo(64, Target, a =>
        {
            Label away = a.CreateLabel();
            a.Label(ref away);
            a.test(esp, esp);
            a.mov(__[rdi], rax);
            a.jz(away);
        });
        machine.State->Gpr[Gpr.Rax] = value;
        machine.State->Gpr[Gpr.Rdi] = Target;
        machine.State->Rip = start;
        machine.ShouldHalt(Target + 9, RflagsBits.Pf, TestMachine.Stack, After(machine, New, value, Target));
    }

    [EngineFact]
    public void Data_written_ten_thousand_times_in_the_line_of_a_hot_loop_is_exact_and_the_loop_too()
    {
        using var machine = new TestMachine();
        machine.Enter(64);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.add(__qword_ptr[TestMachine.Code + 0x38], 3);
            a.inc(__dword_ptr[TestMachine.Code + 0xffc]);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rcx] = 10_000;
        machine.ShouldHalt(End(machine, 64, 5, TestMachine.Code), RflagsBits.Zf | RflagsBits.Pf, TestMachine.Stack, (Gpr.Rcx, 0));
        machine.Read64(TestMachine.Code + 0x38).ShouldBe(30_000UL);
        machine.Read32(TestMachine.Code + 0xffc).ShouldBe(10_000U);
    }

    [EngineFact]
    public void A_stack_in_the_page_of_the_code_works()
    {
        using var machine = new TestMachine();
        machine.Enter(64);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            Label routine = a.CreateLabel();
            a.Label(ref top);
            a.push(rcx);
            a.call(routine);
            a.pop(rdx);
            a.add(rbx, rdx);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
            a.Label(ref routine);
            a.push(rax);
            a.pop(rax);
            a.ret();
        });
        machine.State->Gpr[Gpr.Rsp] = TestMachine.Code + 0x80;
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.ShouldHalt(End(machine, 64, 7, TestMachine.Code), RflagsBits.Zf | RflagsBits.Pf, TestMachine.Code + 0x80,
            (Gpr.Rbx, 500500), (Gpr.Rcx, 0), (Gpr.Rdx, 1));
    }

    [EngineFact]
    public void A_write_that_crosses_into_the_executing_page_changes_its_first_instruction()
    {
        using var machine = new TestMachine();
        machine.Enter(64);
        const uint Page = TestMachine.Code + 0x1000;
        machine.Store(Page, [.. Old, 0xf4]);
        machine.Assemble(64, a => { a.call(Page + 0x100); a.mov(__[rdi], rax); a.jmp(Page); });
        machine.Store(Page + 0x100, 0xc3);
        machine.State->Gpr[Gpr.Rax] = BitConverter.ToUInt64([0, 0, 0, 0, .. New[..4]]);
        machine.State->Gpr[Gpr.Rdi] = Page - 4;
        machine.RunToHalt();
        machine.State->Rip.ShouldBe(Page + 9UL);
        ((byte)machine.State->Gpr[Gpr.Rbx]).ShouldBe((byte)7);
        ((ushort)machine.State->Gpr[Gpr.Rdx]).ShouldBe((ushort)0x0408);
        ((byte)(machine.State->Gpr[Gpr.Rcx] >> 8)).ShouldBe((byte)3);
    }

    /// <summary>RIP behind the last of a number of instructions.</summary>
    private static ulong End(TestMachine machine, int bits, int count, uint code) =>
        machine.InstructionStarts(bits, count + 1)[count] - TestMachine.Code + code;

    /// <summary>Registers after the moves to 8-bit registers that <paramref name="code"/> consists of.</summary>
    private static (int Register, ulong Value)[] After(TestMachine machine, byte[] code, ulong rax, uint rdi)
    {
        ulong[] values = [machine.SeedOf(0), machine.SeedOf(1), machine.SeedOf(2), machine.SeedOf(3)];
        for (int i = 0; i < code.Length; i += 2)
        {
            int register = code[i] - 0xb0;
            int shift = register < 4 ? 0 : 8;
            values[register & 3] = (values[register & 3] & ~(0xffUL << shift)) | ((ulong)code[i + 1] << shift);
        }

        ulong accumulator = machine.State->Mode == ProcessorMode.Long ? rax : (uint)rax;
        return [(0, accumulator), (1, values[1]), (2, values[2]), (3, values[3]), (Gpr.Rdi, rdi)];
    }
}
