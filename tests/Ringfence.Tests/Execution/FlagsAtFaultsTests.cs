using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>
/// The flags that a fault pushes are those of the last instruction that completed, even where every path on overwrites them: a fault reads
/// flags that the program never does.
/// </summary>
public sealed unsafe class FlagsAtFaultsTests
{
    private const ulong C = RflagsBits.Cf, P = RflagsBits.Pf, A = RflagsBits.Af, Z = RflagsBits.Zf, S = RflagsBits.Sf, O = RflagsBits.Of;
    private const ulong All = C | P | A | Z | S | O;

    /// <summary>What sets the flags, and what they are then. They are all set before; RAX is 0x7fffffff, RBX 1, RCX 0, RDX the missing address.</summary>
    private static readonly Dictionary<string, (Action<Assembler> Emit, ulong Flags)> Setters = new()
    {
        ["nothing"] = (a => a.nop(), All),
        ["mov and lea"] = (a => { a.mov(r8, 5); a.lea(r9, __[r8 + rbx]); }, All),
        ["add 32"] = (a => a.add(eax, ebx), O | S | A | P),
        ["add 8"] = (a => a.add(al, bl), C | A | Z | P),
        ["sub to zero"] = (a => a.sub(ebx, 1), Z | P),
        ["sub borrow"] = (a => a.sub(ecx, ebx), C | S | A | P),
        ["cmp equal"] = (a => a.cmp(rax, rax), Z | P),
        ["cmp less"] = (a => a.cmp(ecx, 0x10), C | S | P),
        ["test"] = (a => a.test(bl, bl), 0),
        ["xor"] = (a => a.xor(ecx, ecx), Z | P),
        ["inc keeps CF"] = (a => a.inc(eax), C | O | S | A | P),
        ["dec keeps CF"] = (a => a.dec(ebx), C | Z | P),
        ["clc inc"] = (a => { a.clc(); a.inc(ebx); }, 0),
        ["add then inc"] = (a => { a.add(ecx, -1); a.inc(ecx); }, A | Z | P),
        ["sub then dec keeps borrow"] = (a => { a.sub(ecx, ebx); a.dec(ebx); }, C | Z | P),
        ["adc"] = (a => a.adc(ecx, ecx), 0),
        ["sbb"] = (a => a.sbb(ecx, ecx), C | S | A | P),
        ["neg"] = (a => a.neg(ebx), C | S | A | P),
        ["neg zero"] = (a => a.neg(ecx), Z | P),
        ["not"] = (a => a.not(ecx), All),
        ["shift by zero"] = (a => a.shl(eax, cl), All),
        ["shift by 32"] = (a => { a.mov(cl, 32); a.shr(eax, cl); }, All),
        ["sahf"] = (a => { a.mov(ah, 0x41); a.sahf(); }, O | C | Z),
        ["stc"] = (a => { a.test(ebx, ebx); a.stc(); }, C),
        ["cmc"] = (a => a.cmc(), All & ~C),
        ["popf"] = (a => { a.push(0x885); a.popfq(); }, C | P | S | O),
        ["bt"] = (a => a.bt(ebx, 1), All & ~C),
        ["cmov"] = (a => a.cmovz(r8, r9), All),
        ["setcc"] = (a => a.setz(r8b), All),
        ["xchg and bswap"] = (a => { a.xchg(r8, r9); a.bswap(r8); }, All),
        ["cmpxchg unequal"] = (a => a.cmpxchg(ecx, ebx), P),
        ["xadd"] = (a => a.xadd(ebx, ecx), 0),
        ["comisd"] = (a => { a.xorps(xmm0, xmm0); a.comisd(xmm0, xmm0); }, Z),
        ["fcomi"] = (a => { a.fninit(); a.fldz(); a.fld1(); a.fcomi(st0, st1); a.fninit(); }, 0),
        ["flags of a store"] = (a => a.add(__qword_ptr[TestMachine.Data], -1), S | P),
        ["loop keeps"] = (a => { a.mov(ecx, 1); Label next = a.CreateLabel(); a.loop(next); a.Label(ref next); a.nop(); }, All),
    };

    /// <summary>What faults, with RDX, and what overwrites all flags behind it.</summary>
    private static readonly Dictionary<string, (Action<Assembler> Emit, uint Error)> Faults = new()
    {
        ["load"] = (a => a.mov(r10, __[rdx]), 0),
        ["store"] = (a => a.mov(__[rdx], r10), 2),
        ["arithmetic load"] = (a => a.sub(r10, __[rdx]), 0),
        ["compare"] = (a => a.cmp(__byte_ptr[rdx], 5), 0),
        ["modify"] = (a => a.add(__[rdx], r10), 2),
        ["carry"] = (a => a.adc(__[rdx], r10), 2),
        ["shift"] = (a => a.shl(__dword_ptr[rdx], 5), 2),
        ["pop"] = (a => a.pop(__qword_ptr[rdx]), 2),
        ["sse"] = (a => a.ucomiss(xmm0, __dword_ptr[rdx]), 0),
    };

    public static TheoryData<string, string> Pairs
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (string setter in Setters.Keys)
                foreach (string fault in Faults.Keys) data.Add(setter, fault);
            return data;
        }
    }

    public static TheoryData<string> SetterNames => new(Setters.Keys);

    [EngineTheory]
    [MemberData(nameof(Pairs))]
    public void A_fault_pushes_the_flags_of_the_instruction_before_it(string setter, string fault)
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            Setters[setter].Emit(a);
            Faults[fault].Emit(a);
            a.xor(r11d, r11d);
            a.hlt();
        });
        ShouldPush(machine, Setters[setter].Flags, Faults[fault].Error);
    }

    [EngineTheory]
    [MemberData(nameof(SetterNames))]
    public void A_fault_of_a_blocks_first_instruction_pushes_the_flags_of_the_block_before(string setter)
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            Label next = a.CreateLabel();
            Setters[setter].Emit(a);
            a.jmp(next);
            a.Label(ref next);
            a.mov(r10, __[rdx]);
            a.xor(r11d, r11d);
            a.hlt();
        });
        ShouldPush(machine, Setters[setter].Flags, 0);
    }

    [EngineTheory]
    [MemberData(nameof(SetterNames))]
    public void A_fault_behind_a_call_a_return_and_an_indirect_jump_pushes_the_flags_from_before(string setter)
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            Label routine = a.CreateLabel();
            Label faults = a.CreateLabel();
            Label kill = a.CreateLabel();
            Setters[setter].Emit(a);
            a.call(routine);
            a.lea(r11, __[faults]);
            a.jmp(r11);
            a.Label(ref routine);
            a.ret();
            a.Label(ref faults);
            a.mov(__[rdx], r10);
            a.jmp(kill);
            a.Label(ref kill);
            a.xor(r11d, r11d);
            a.hlt();
        });
        ShouldPush(machine, Setters[setter].Flags, 2);
    }

    [EngineTheory]
    [MemberData(nameof(SetterNames))]
    public void A_fault_after_a_thousand_iterations_pushes_the_flags_of_its_own(string setter)
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.mov(eax, 0x7fff_ffff);
            a.mov(ebx, 1);
            a.mov(ecx, 0);
            a.mov(__qword_ptr[TestMachine.Data], 0);
            a.push((int)All);
            a.popfq();
            Setters[setter].Emit(a);
            a.mov(r10, __[rdx]);
            a.dec(r15);
            a.cmovz(rdx, r14);
            a.jmp(top);
        });
        machine.State->Gpr[Gpr.Rdx] = TestMachine.Data + 0x100;
        machine.State->Gpr[Gpr.R14] = FaultingInstruction.Missing;
        machine.State->Gpr[Gpr.R15] = 1000;
        ShouldPush(machine, Setters[setter].Flags, 0);
        machine.State->Gpr[Gpr.R15].ShouldBe(0UL);
    }

    [EngineTheory]
    [MemberData(nameof(SetterNames))]
    public void Flags_live_through_a_branch_a_call_and_a_page_boundary_until_PUSHF_reads_them(string setter)
    {
        using TestMachine machine = Make();
        const uint Next = TestMachine.Code + 0x1000;
        machine.Assemble(64, a =>
        {
            Setters[setter].Emit(a);
            a.jmp(Next - 1);
        });
        machine.Store(Next - 1, 0x90, 0x9c, 0x31, 0xc0, 0xf4);       // nop; pushfq; xor eax, eax; hlt
        machine.RunToHalt();
        machine.State->Rip.ShouldBe(Next + 4UL);
        (machine.Read64(machine.State->Gpr[Gpr.Rsp]) & All).ShouldBe(Setters[setter].Flags);
        (machine.State->Rflags & (Z | C | O | S)).ShouldBe(Z);
    }

    [EngineFact]
    public void A_fault_between_a_compare_and_its_branch_does_not_change_the_branch()
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            Label less = a.CreateLabel();
            a.cmp(ecx, 5);
            a.mov(r10, __[rdx]);
            a.jl(less);
            a.hlt();
            a.Label(ref less);
            a.mov(eax, 99);
            a.hlt();
        });
        ShouldPush(machine, C | S | A, 0);          // 0 - 5 = fffffffbh
        machine.Map(FaultingInstruction.Missing & ~0xfffU, 0x200000);
        machine.State->Rflags = All;                             // the handler's own flags, which IRET replaces
        machine.Resume();
        machine.RunToHalt();
        machine.State->Gpr[Gpr.Rax].ShouldBe(99UL);
        machine.State->Rflags.ShouldBe(RflagsBits.AlwaysOne | C | S | A);
    }

    private static TestMachine Make()
    {
        var machine = new TestMachine();
        machine.EnterLongSmall();
        machine.UseInterruptStack();
        machine.MakeHandlersReturn();
        machine.Seed();
        machine.State->Gpr[Gpr.Rax] = 0x7fff_ffff;
        machine.State->Gpr[Gpr.Rbx] = 1;
        machine.State->Gpr[Gpr.Rcx] = 0;
        machine.State->Gpr[Gpr.Rdx] = FaultingInstruction.Missing;
        machine.State->Rflags = All;
        return machine;
    }

    private static void ShouldPush(TestMachine machine, ulong flags, uint error)
    {
        machine.RunToFault().ShouldBe((ExceptionVector.PageFault, error));
        ExceptionFrame frame = machine.Frame((int)ExceptionVector.PageFault);
        frame.Rflags.ShouldBe(flags | RflagsBits.AlwaysOne | RflagsBits.Rf, $"RFLAGS 0x{frame.Rflags:x}, not 0x{flags:x}");
        machine.State->Cr2.ShouldBe(FaultingInstruction.Missing);
        frame.Rsp.ShouldBe(TestMachine.Stack);
    }
}
