using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>Precise faults of 16- and 32-bit code and of CPL 3, at the first execution and after a thousand good ones.</summary>
public sealed unsafe class NarrowFaultsTests
{
    private const uint Missing = SmallPages.Window + 0x124;
    private const uint Mapped = TestMachine.Data + 0x40;

    /// <summary>On [EDI] or EDI, with EAX = 12345678h, EDX = 0: vector, error code at CPL 0, EDI that faults.</summary>
    private static readonly Dictionary<string, (Action<Assembler> Emit, ExceptionVector Vector, uint? Error, uint Good, uint Bad)> Instructions = new()
    {
        ["load"] = (a => a.mov(esi, __[edi]), ExceptionVector.PageFault, 0, Mapped, Missing),
        ["load 16"] = (a => a.mov(si, __[edi]), ExceptionVector.PageFault, 0, Mapped, Missing),
        ["store"] = (a => a.mov(__[edi], eax), ExceptionVector.PageFault, 2, Mapped, Missing),
        ["store of AH"] = (a => a.mov(__[edi], ah), ExceptionVector.PageFault, 2, Mapped, Missing),
        ["modify"] = (a => a.add(__[edi], eax), ExceptionVector.PageFault, 2, Mapped, Missing),
        ["adc"] = (a => a.adc(eax, __[edi]), ExceptionVector.PageFault, 0, Mapped, Missing),
        ["inc"] = (a => a.inc(__word_ptr[edi]), ExceptionVector.PageFault, 2, Mapped, Missing),
        ["xchg"] = (a => a.xchg(__[edi], ax), ExceptionVector.PageFault, 2, Mapped, Missing),
        ["push memory"] = (a => a.push(__dword_ptr[edi]), ExceptionVector.PageFault, 0, Mapped, Missing),
        ["pop memory"] = (a => a.pop(__dword_ptr[edi]), ExceptionVector.PageFault, 2, Mapped, Missing),
        ["stosd"] = (a => a.stosd(), ExceptionVector.PageFault, 2, Mapped, Missing),
        ["cmpxchg8b"] = (a => a.@lock.cmpxchg8b(__qword_ptr[edi]), ExceptionVector.PageFault, 2, Mapped, Missing),
        ["xlatb"] = (a => { a.xchg(ebx, edi); a.xlatb(); }, ExceptionVector.PageFault, 0, Mapped - 0x78, Missing - 0x78),
        ["div"] = (a => a.div(edi), ExceptionVector.DivideError, null, 7, 0),
        ["idiv 16"] = (a => a.idiv(di), ExceptionVector.DivideError, null, 7, 0x10000),
        ["bound"] = (a => a.bound(eax, __[edi]), ExceptionVector.BoundRange, null, Mapped + 0x20, Mapped),
        ["movaps"] = (a => a.movaps(xmm1, __[edi]), ExceptionVector.GeneralProtection, 0, Mapped, Mapped + 4),
        ["mov to a segment register"] = (a => a.mov(es, di), ExceptionVector.GeneralProtection, 0xfff0, TestMachine.Data0, 0xfff0),
        ["les"] = (a => a.les(esi, __[edi]), ExceptionVector.PageFault, 0, TestMachine.Data + 0x100, Missing),
    };

    public static TheoryData<string, bool> Names => ColdAndHot.Rows(Instructions.Keys);

    [EngineTheory]
    [MemberData(nameof(Names))]
    public void An_instruction_of_32_bit_code_that_faults_leaves_what_the_ones_before_it_made(string name, bool hot)
    {
        (Action<Assembler> emit, ExceptionVector vector, uint? error, uint good, uint bad) = Instructions[name];
        using var machine = new TestMachine();
        machine.EnterProtectedSmall();
        machine.State->Cr4 |= Cr4.Osfxsr;
        machine.Processor.RefreshMode();
        machine.Seed();
        machine.Write32(Mapped + 0x24, 0x7fff_ffff);
        machine.Write32(TestMachine.Data + 0x104, TestMachine.Data0);
        bool exchanges = name == "xlatb";
        machine.Assemble(32, a =>
        {
            Label top = a.CreateLabel();
            Label more = a.CreateLabel();
            a.Label(ref top);
            a.mov(eax, 0x1234_5678);
            a.xor(edx, edx);
            a.mov(esp, TestMachine.Stack - 0x40);
            a.mov(esi, 0x55);
            a.mov(ebx, 0x66);
            a.sub(esi, 0x56);                               // 5: CF, SF, AF, PF
            emit(a);                                        // 6
            a.mov(edi, good);
            a.dec(ebp);
            a.jnz(more);
            a.mov(edi, bad);
            a.Label(ref more);
            a.jmp(top);
        });
        machine.State->Gpr[Gpr.Rdi] = hot ? good : bad;
        machine.State->Gpr[Gpr.Rbp] = 1000;
        machine.ShouldFault(vector, error, machine.InstructionStarts(32, 8)[exchanges ? 7 : 6],
            RflagsBits.Cf | RflagsBits.Sf | RflagsBits.Af | RflagsBits.Pf, TestMachine.Stack - 0x40,
            (Gpr.Rax, 0x1234_5678), (Gpr.Rdx, 0), (Gpr.Rsi, 0xffff_ffff), (Gpr.Rbx, exchanges ? bad : 0x66), (Gpr.Rdi, exchanges ? 0x66U : bad),
            (Gpr.Rbp, hot ? 0UL : 1000));
        if (vector == ExceptionVector.PageFault) machine.State->Cr2.ShouldBe(Missing);
    }

    [EngineTheory]
    [InlineData("word at FFFFh", ExceptionVector.GeneralProtection)]
    [InlineData("stack word at FFFFh", ExceptionVector.StackFault)]
    [InlineData("div", ExceptionVector.DivideError)]
    [InlineData("aam", ExceptionVector.DivideError)]
    [InlineData("bound", ExceptionVector.BoundRange)]
    [InlineData("ud2", ExceptionVector.InvalidOpcode)]
    public void An_instruction_in_real_address_mode_that_faults_after_a_thousand_good_ones_is_exact(string kind, ExceptionVector vector)
    {
        using var machine = new TestMachine();
        machine.Enter(16);
        machine.Write16(TestMachine.Code + 0x9000, 0);
        machine.Write16(TestMachine.Code + 0x9002, 0x7fff);
        machine.Write16(TestMachine.Code + 0x9004, 1);
        machine.Assemble(16, a =>
        {
            Label top = a.CreateLabel();
            Label good = a.CreateLabel();
            a.Label(ref top);
            a.mov(ax, 0x1234);
            a.xor(dx, dx);
            a.dec(cx);
            a.jnz(good);
            a.mov(di, kind switch { "div" => (ushort)0, "bound" => (ushort)0x9004, _ => (ushort)0xffff });
            a.Label(ref good);
            a.cmp(cx, 1);                                   // 5: in the last round 0 - 1
            switch (kind)
            {
                case "word at FFFFh": a.add(__[di], ax); break;
                case "stack word at FFFFh":
                    a.mov(bp, di);
                    a.mov(bx, __[bp + 0]);
                    break;
                case "div": a.div(di); break;
                case "aam":
                    a.jae(top);
                    a.db(0xd4, 0);
                    break;
                case "bound": a.bound(ax, __[di]); break;
                default:
                    a.jae(top);
                    a.ud2();
                    break;
            }

            a.jmp(top);
        }, @base: TestMachine.Code);
        machine.State->Gpr[Gpr.Rcx] = 0xabcd_03e9;
        machine.State->Gpr[Gpr.Rdi] = kind == "div" ? 3U : 0x9000;
        uint last = kind switch { "div" => 0U, "bound" => 0x9004, _ => 0xffff };
        bool second = kind is "stack word at FFFFh" or "aam" or "ud2";
        ulong rip = machine.InstructionStarts(16, 8)[second ? 7 : 6] - TestMachine.Code;
        (int, ulong)[] changed =
        [
            (Gpr.Rax, (machine.SeedOf(Gpr.Rax) & 0xffff_0000) | 0x1234), (Gpr.Rdx, machine.SeedOf(Gpr.Rdx) & 0xffff_0000),
            (Gpr.Rcx, 0xabcd_0000), (Gpr.Rdi, last),
        ];
        if (kind == "stack word at FFFFh")
            changed = [.. changed, (Gpr.Rbp, (machine.SeedOf(Gpr.Rbp) & 0xffff_0000) | 0xffff), (Gpr.Rbx, machine.SeedOf(Gpr.Rbx) & 0xffff_0000)];
        machine.ShouldFault(vector, null, rip, RflagsBits.Cf | RflagsBits.Sf | RflagsBits.Af | RflagsBits.Pf, 0x8000, changed);
    }

    [EngineTheory]
    [InlineData(32)]
    [InlineData(64)]
    public void A_fault_at_CPL_3_in_a_hot_loop_switches_stacks_and_tells_the_users_state(int bits)
    {
        using var machine = new TestMachine();
        if (bits == 32) machine.EnterProtectedSmall();
        else machine.EnterLongSmall();
        machine.MakeHandlersReturn();
        machine.EnterUser();
        machine.Seed();
        machine.Assemble(bits, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            if (bits == 32) a.push(ebx);
            else a.push(rbx);
            a.add(ebx, 1);
            a.dec(ecx);
            a.mov(__[edi], ebx);
            if (bits == 32) a.pop(edx);
            else a.pop(rdx);
            a.cmovz(edi, esi);
            a.jmp(top);
        });
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rcx] = 1000;
        machine.State->Gpr[Gpr.Rdi] = TestMachine.Data;
        machine.State->Gpr[Gpr.Rsi] = Missing;
        ulong width = (ulong)bits / 8;
        machine.ShouldFault(ExceptionVector.PageFault, 6, machine.InstructionStarts(bits, 4)[3],
            RflagsBits.Sf | RflagsBits.Af | RflagsBits.Pf, TestMachine.UserStack - width,
            (Gpr.Rbx, 1001), (Gpr.Rcx, 0xffff_ffff), (Gpr.Rdx, 999), (Gpr.Rdi, Missing), (Gpr.Rsi, Missing));
        machine.State->Cpl.ShouldBe((byte)0);
        machine.Frame(14).Cs.ShouldBe(bits == 32 ? TestMachine.Code3 : TestMachine.LongCode3);
        machine.State->Gpr[Gpr.Rsp].ShouldBe(TestMachine.InnerStack - (bits == 32 ? 24UL : 48UL));
        if (bits == 32) machine.Map32(Missing & ~0xfffU, 0x200000);
        else machine.Map(Missing & ~0xfffU, 0x200000);
        machine.Resume();
        machine.RunToHalt(50);
        machine.State->Cpl.ShouldBe((byte)3);
        machine.Read32(0x200124).ShouldBeGreaterThan(1001U);
    }
}
