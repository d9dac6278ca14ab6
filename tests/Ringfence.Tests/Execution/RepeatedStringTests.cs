using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>
/// Repeated string instructions (Intel SDM 2B REP): a fault comes between two elements, with RCX, RSI and RDI those of the element that
/// faults, and the instruction goes on from there.
/// </summary>
public sealed unsafe class RepeatedStringTests
{
    /// <summary>Mapped to frame 200000h; the page before and the page behind are missing.</summary>
    private const uint Source = SmallPages.Window + 0x1000;

    /// <summary>Mapped to frame 210000h; the page before and the page behind are missing.</summary>
    private const uint Target = SmallPages.Window + 0x11000;

    private const uint SourceFrame = 0x200000, TargetFrame = 0x210000;
    private const int Elements = 20;
    private const ulong Status = RflagsBits.Cf | RflagsBits.Of | RflagsBits.Sf;

    public enum Kind
    {
        Movs,
        Stos,
        Lods,
        Cmps,
        Scas,
    }

    public static TheoryData<Kind, int, bool, bool, bool> Faults
    {
        get
        {
            var data = new TheoryData<Kind, int, bool, bool, bool>();
            foreach (Kind kind in Enum.GetValues<Kind>())
                foreach (int size in new[] { 1, 2, 4, 8 })
                    foreach (bool down in new[] { false, true })
                        foreach (bool inTarget in new[] { false, true })
                            foreach (bool misaligned in new[] { false, true })
                            {
                                bool reads = kind is Kind.Movs or Kind.Lods or Kind.Cmps;
                                bool writes = kind is not Kind.Lods;
                                if (inTarget ? !writes : !reads) continue;
                                if (misaligned && size == 1) continue;
                                data.Add(kind, size, down, inTarget, misaligned);
                            }

            return data;
        }
    }

    [EngineTheory]
    [MemberData(nameof(Faults))]
    public void A_missing_page_stops_it_at_the_first_element_that_touches_it(Kind kind, int size, bool down, bool inTarget, bool misaligned)
    {
        using TestMachine machine = Make();
        Fill(machine);
        int good = 7;
        long offset = misaligned ? size / 2 : 0;
        // The eighth element touches the missing page; the other operand stays in the middle of its page.
        long start = !down ? 0x1000 - (good * size) - offset : misaligned ? (good * size) - offset : (good - 1) * size;
        long step = down ? -size : size;
        ulong rsi = Source + (ulong)(inTarget ? 0x800 : start);
        ulong rdi = Target + (ulong)(inTarget ? start : 0x800);
        machine.Assemble(64, a =>
        {
            Emit(a, kind, size);
            a.hlt();
        });
        VcpuState* s = machine.State;
        s->Gpr[Gpr.Rsi] = rsi;
        s->Gpr[Gpr.Rdi] = rdi;
        s->Gpr[Gpr.Rcx] = Elements;
        s->Gpr[Gpr.Rax] = 0x1122_3344_5566_7788;
        s->Rflags = RflagsBits.AlwaysOne | Status | (down ? RflagsBits.Df : 0);
        ulong moved = (ulong)(good * step);
        bool usesSource = kind is Kind.Movs or Kind.Lods or Kind.Cmps;
        bool usesTarget = kind is not Kind.Lods;
        bool writes = inTarget && kind is (Kind.Movs or Kind.Stos);
        uint error = writes ? 2U : 0;
        ((ExceptionVector)machine.RunToVector()).ShouldBe(ExceptionVector.PageFault);
        ExceptionFrame frame = machine.Frame(14);
        frame.ErrorCode.ShouldBe(error);
        frame.Rip.ShouldBe((ulong)TestMachine.Code);
        ulong page = inTarget ? Target : Source;
        ulong first = page + (ulong)(start + (good * step));
        s->Cr2.ShouldBe(!down && misaligned ? page + 0x1000 : first, $"CR2 0x{s->Cr2:x}");
        s->Gpr[Gpr.Rcx].ShouldBe((ulong)(Elements - good));
        s->Gpr[Gpr.Rsi].ShouldBe(usesSource ? rsi + moved : rsi);
        s->Gpr[Gpr.Rdi].ShouldBe(usesTarget ? rdi + moved : rdi);
        ulong status = kind switch
        {
            Kind.Cmps => RflagsBits.Zf | RflagsBits.Pf,
            Kind.Scas => StatusOfScan(size),
            _ => Status,
        };
        (frame.Rflags & RflagsBits.Status).ShouldBe(status);
        (frame.Rflags & RflagsBits.Df).ShouldBe(down ? RflagsBits.Df : 0);

        // The missing page appears, and the rest is done.
        uint missing = (uint)page + (down ? 0xffff_f000U : 0x1000U);
        machine.Map(missing, (inTarget ? TargetFrame : SourceFrame) + (down ? 0xffff_f000U : 0x1000U));
        machine.Resume();
        machine.RunToHalt().ShouldBe(Ringfence.Processors.Exits.ExitReason.Halt);
        s->Rip.ShouldBe(machine.InstructionStarts(64, 3)[2]);
        s->Gpr[Gpr.Rcx].ShouldBe(0UL);
        ulong all = (ulong)(Elements * step);
        s->Gpr[Gpr.Rsi].ShouldBe(usesSource ? rsi + all : rsi);
        s->Gpr[Gpr.Rdi].ShouldBe(usesTarget ? rdi + all : rdi);
        CheckTarget(machine, kind, size, rsi, rdi, step);
    }

    [EngineTheory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    public void A_forward_copy_to_one_byte_above_repeats_what_it_has_just_written_across_pages(int size)
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            Emit(a, Kind.Movs, size);
            a.hlt();
        });
        const uint From = 0x200ff3;
        const int Count = 3000;
        byte[] memory = new byte[(Count * size) + 64];
        new Random(size).NextBytes(memory);
        machine.Store(From, memory);
        for (int i = 0; i < Count; i++)
        {
            byte[] element = memory[(i * size)..((i + 1) * size)];
            element.CopyTo(memory, (i * size) + 1);
        }

        machine.State->Gpr[Gpr.Rsi] = From;
        machine.State->Gpr[Gpr.Rdi] = From + 1;
        machine.State->Gpr[Gpr.Rcx] = Count;
        machine.ShouldHalt(machine.InstructionStarts(64, 3)[2], 0, TestMachine.Stack,
            (Gpr.Rsi, From + (ulong)(Count * size)), (Gpr.Rdi, From + 1 + (ulong)(Count * size)), (Gpr.Rcx, 0));
        byte[] actual = new byte[memory.Length];
        machine.Memory.Read(new Ringfence.Memory.GuestPhysical(From), actual);
        actual.ShouldBe(memory);
    }

    [EngineTheory]
    [InlineData(Kind.Movs)]
    [InlineData(Kind.Stos)]
    [InlineData(Kind.Lods)]
    [InlineData(Kind.Cmps)]
    [InlineData(Kind.Scas)]
    public void A_count_of_zero_touches_no_memory_and_no_flag(Kind kind)
    {
        using TestMachine machine = Make();
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            Emit(a, kind, 8);
            a.inc(r8);
            a.stc();
            a.cmp(r8, r9);
            a.jne(top);
            a.stc();
            Emit(a, kind, 1);
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rsi] = FaultingInstruction.NonCanonical;
        machine.State->Gpr[Gpr.Rdi] = FaultingInstruction.Missing;
        machine.State->Gpr[Gpr.Rcx] = 0;
        machine.State->Gpr[Gpr.R8] = 0;
        machine.State->Gpr[Gpr.R9] = 500;
        machine.ShouldHalt(machine.InstructionStarts(64, 9)[8], RflagsBits.Zf | RflagsBits.Pf | RflagsBits.Cf, TestMachine.Stack,
            (Gpr.Rsi, FaultingInstruction.NonCanonical), (Gpr.Rdi, FaultingInstruction.Missing), (Gpr.Rcx, 0), (Gpr.R8, 500), (Gpr.R9, 500));
    }

    [EngineTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_comparison_stops_behind_the_element_that_decides_with_its_flags(bool scan)
    {
        using TestMachine machine = Make();
        const uint First = 0x200f80, Second = 0x210f80;
        for (uint i = 0; i < 100; i++)
        {
            machine.Write32(First + (i * 4), 1000 + i);
            machine.Write32(Second + (i * 4), i == 60 ? 2000 : 1000 + i);
        }

        machine.Assemble(64, a =>
        {
            if (scan) a.repne.scasd();
            else a.repe.cmpsd();
            a.hlt();
        });
        machine.State->Gpr[Gpr.Rax] = 2000;
        machine.State->Gpr[Gpr.Rsi] = First;
        machine.State->Gpr[Gpr.Rdi] = Second;
        machine.State->Gpr[Gpr.Rcx] = 100;
        // 1060 - 2000 borrows; FFFFFC54h has three bits in its low byte.
        ulong flags = scan ? RflagsBits.Zf | RflagsBits.Pf : RflagsBits.Cf | RflagsBits.Sf;
        machine.ShouldHalt(TestMachine.Code + 3, flags, TestMachine.Stack,
            (Gpr.Rax, 2000), (Gpr.Rsi, scan ? First : First + (61 * 4)), (Gpr.Rdi, Second + (61 * 4)), (Gpr.Rcx, 39));
    }

    [EngineFact]
    public void With_32_bit_addresses_in_64_bit_mode_the_registers_lose_their_upper_halves()
    {
        using TestMachine machine = Make();
        machine.Store(TestMachine.Code, 0x67, 0xf3, 0xa4, 0xf4);    // a32 rep movsb; hlt
        machine.Store(0x200000, 1, 2, 3, 4, 5);
        machine.State->Gpr[Gpr.Rsi] = 0xdead_0000_0020_0000;
        machine.State->Gpr[Gpr.Rdi] = 0xbeef_0000_0021_0000;
        machine.State->Gpr[Gpr.Rcx] = 0xffff_ffff_0000_0005;
        machine.ShouldHalt(TestMachine.Code + 4, 0, TestMachine.Stack, (Gpr.Rsi, 0x20_0005), (Gpr.Rdi, 0x21_0005), (Gpr.Rcx, 0));
        machine.Read64(0x210000).ShouldBe(0x05_0403_0201UL);
    }

    [EngineFact]
    public void With_16_bit_addresses_the_index_wraps_at_64_KiB_wherever_the_segment_begins()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Seed();
        machine.Load(SegmentIndex.Es, TestMachine.Data0, 0x20_0008, 0xffff_ffff, 0xc093);
        machine.Store(TestMachine.Code, 0x67, 0xf3, 0xaa, 0xf4);    // a16 rep stosb; hlt
        machine.State->Gpr[Gpr.Rax] = 0x77;
        machine.State->Gpr[Gpr.Rdi] = 0x1234_fff0;
        machine.State->Gpr[Gpr.Rcx] = 0x5678_0030;
        machine.ShouldHalt(TestMachine.Code + 4, 0, TestMachine.Stack, (Gpr.Rax, 0x77), (Gpr.Rdi, 0x1234_0020), (Gpr.Rcx, 0x5678_0000));
        Filled(machine, 0x20_0008, 0x20).ShouldBeTrue();
        Filled(machine, 0x20_fff8, 0x10).ShouldBeTrue("the first elements are right below 64 KiB");
        machine.Read8(0x21_0008).ShouldBe((byte)0, "nothing is stored beyond 64 KiB");
        machine.Read8(0x20_0028).ShouldBe((byte)0);
    }

    [EngineFact]
    public void With_32_bit_addresses_in_64_bit_mode_the_index_wraps_at_4_GiB_wherever_the_segment_begins()
    {
        using TestMachine machine = Make();
        const ulong Base = 0xffff_ffff_0040_1808;           // plus 4 GiB: 8 bytes above the middle of the mapped page
        machine.Segment(SegmentIndex.Fs).Base = Base;
        machine.Store(TestMachine.Code, 0x67, 0x64, 0xf3, 0xa4, 0xf4);  // a32 rep movsb es:[edi], fs:[esi]
        machine.State->Gpr[Gpr.Rsi] = 0xffff_fff0;
        machine.State->Gpr[Gpr.Rdi] = Target;
        machine.State->Gpr[Gpr.Rcx] = 0x40;
        machine.ShouldFault(ExceptionVector.PageFault, 0, TestMachine.Code, 0, TestMachine.Stack,
            (Gpr.Rsi, 0), (Gpr.Rdi, Target + 0x10), (Gpr.Rcx, 0x30));
        machine.State->Cr2.ShouldBe(Base);
    }

    [EngineFact]
    public void A_limit_of_the_segment_stops_it_at_the_first_element_beyond()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.Seed();
        machine.Load(SegmentIndex.Es, TestMachine.Data0, 0x20_0000, 0x1801, 0x4093);
        machine.Assemble(32, a => a.rep.stosd());
        machine.State->Gpr[Gpr.Rax] = 0x0101_0101;
        machine.State->Gpr[Gpr.Rdi] = 0x400;
        machine.State->Gpr[Gpr.Rcx] = 0x2000;
        machine.ShouldFault(ExceptionVector.GeneralProtection, 0, TestMachine.Code, 0, TestMachine.Stack,
            (Gpr.Rax, 0x0101_0101), (Gpr.Rdi, 0x1800), (Gpr.Rcx, 0x2000 - (0x1400 / 4)));
        machine.Read32(0x20_17fc).ShouldBe(0x0101_0101U);
        machine.Read32(0x20_1800).ShouldBe(0U);
    }

    [EngineTheory]
    [InlineData(Kind.Movs)]
    [InlineData(Kind.Stos)]
    [InlineData(Kind.Lods)]
    [InlineData(Kind.Cmps)]
    [InlineData(Kind.Scas)]
    public void A_single_one_in_a_hot_loop_faults_where_its_page_ends(Kind kind)
    {
        using TestMachine machine = Make();
        Fill(machine);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.Label(ref top);
            a.inc(r8d);
            switch (kind)
            {
                case Kind.Movs: a.movsd(); break;
                case Kind.Stos: a.stosd(); break;
                case Kind.Lods: a.lodsd(); break;
                case Kind.Cmps: a.cmpsd(); break;
                default: a.scasd(); break;
            }

            a.jmp(top);
        });
        machine.State->Gpr[Gpr.R8] = 0;
        machine.State->Gpr[Gpr.Rsi] = Source + 4;
        machine.State->Gpr[Gpr.Rdi] = kind is Kind.Movs or Kind.Cmps ? Target : Target + 4;
        ((ExceptionVector)machine.RunToVector()).ShouldBe(ExceptionVector.PageFault);
        machine.Frame(14).Rip.ShouldBe(machine.InstructionStarts(64, 2)[1]);
        machine.Frame(14).ErrorCode.ShouldBe(kind == Kind.Stos ? 2U : 0);
        bool source = kind is Kind.Movs or Kind.Lods or Kind.Cmps;
        machine.State->Cr2.ShouldBe(source ? Source + 0x1000UL : Target + 0x1000UL);
        machine.State->Gpr[Gpr.R8].ShouldBe(1024UL);
        if (source) machine.State->Gpr[Gpr.Rsi].ShouldBe(Source + 0x1000UL);
        if (kind is not Kind.Lods) machine.State->Gpr[Gpr.Rdi].ShouldBe(Target + (kind is Kind.Movs or Kind.Cmps ? 0xffcUL : 0x1000));
    }

    private static TestMachine Make()
    {
        var machine = new TestMachine();
        machine.EnterLongSmall();
        machine.UseInterruptStack();
        machine.MakeHandlersReturn();
        machine.Seed();
        machine.Map(Source, SourceFrame);
        machine.Map(Target, TargetFrame);
        return machine;
    }

    /// <summary>The same bytes everywhere in both operands, so that comparisons go on.</summary>
    private static void Fill(TestMachine machine)
    {
        for (uint i = 0; i < 0x3000; i += 8)
        {
            machine.Write64(SourceFrame - 0x1000 + i, 0x4545_4545_4545_4545);
            machine.Write64(TargetFrame - 0x1000 + i, 0x4545_4545_4545_4545);
        }
    }

    private static void Emit(Assembler a, Kind kind, int size)
    {
        Assembler repeated = kind == Kind.Scas ? a.repne : kind == Kind.Cmps ? a.repe : a.rep;
        switch (kind, size)
        {
            case (Kind.Movs, 1): repeated.movsb(); break;
            case (Kind.Movs, 2): repeated.movsw(); break;
            case (Kind.Movs, 4): repeated.movsd(); break;
            case (Kind.Movs, _): repeated.movsq(); break;
            case (Kind.Stos, 1): repeated.stosb(); break;
            case (Kind.Stos, 2): repeated.stosw(); break;
            case (Kind.Stos, 4): repeated.stosd(); break;
            case (Kind.Stos, _): repeated.stosq(); break;
            case (Kind.Lods, 1): repeated.lodsb(); break;
            case (Kind.Lods, 2): repeated.lodsw(); break;
            case (Kind.Lods, 4): repeated.lodsd(); break;
            case (Kind.Lods, _): repeated.lodsq(); break;
            case (Kind.Cmps, 1): repeated.cmpsb(); break;
            case (Kind.Cmps, 2): repeated.cmpsw(); break;
            case (Kind.Cmps, 4): repeated.cmpsd(); break;
            case (Kind.Cmps, _): repeated.cmpsq(); break;
            case (_, 1): repeated.scasb(); break;
            case (_, 2): repeated.scasw(); break;
            case (_, 4): repeated.scasd(); break;
            default: repeated.scasq(); break;
        }
    }

    /// <summary>Flags of RAX (1122334455667788h) less 4545...h, whose low byte is 43h.</summary>
    private static ulong StatusOfScan(int size) => size == 1 ? RflagsBits.Of : size == 8 ? RflagsBits.Cf | RflagsBits.Sf : 0;

    private static void CheckTarget(TestMachine machine, Kind kind, int size, ulong rsi, ulong rdi, long step)
    {
        if (kind is not (Kind.Stos or Kind.Movs)) return;
        for (int i = 0; i < Elements; i++)
        {
            ulong at = rdi + (ulong)(i * step) - Target + TargetFrame;
            ulong expected = kind == Kind.Stos ? 0x1122_3344_5566_7788UL : 0x4545_4545_4545_4545UL;
            ulong mask = size == 8 ? ulong.MaxValue : (1UL << (size * 8)) - 1;
            (machine.Read64(at) & mask).ShouldBe(expected & mask, $"element {i} of 0x{rsi:x}");
        }
    }

    private static bool Filled(TestMachine machine, uint from, uint count)
    {
        for (uint i = 0; i < count; i++)
            if (machine.Read8(from + i) != 0x77) return false;
        return true;
    }
}
