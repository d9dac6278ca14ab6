using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Tests.ExecutionTests;

/// <summary>
/// Sensitive instructions that an engine may execute in place of calling their definition: the usual case many times in a loop, and the
/// cases beside it that must not take the short way.
/// </summary>
public sealed unsafe class SensitiveInPlaceTests
{
    private const ulong MayChange = RflagsBits.Status | RflagsBits.Df | RflagsBits.If;
    private const uint SourcePage = SmallPages.Window + 0x1000;
    private const uint TargetPage = SmallPages.Window + 0x11000;

    [EngineTheory]
    [InlineData(32)]
    [InlineData(64)]
    public void Pushf_gives_back_what_popf_has_taken(int bits)
    {
        using TestMachine machine = Make(bits);
        // Each round pops a value with other bits set, and adds what PUSHF says of it.
        machine.Assemble(bits, a =>
        {
            Label top = a.CreateLabel();
            a.xor(ebx, ebx);
            a.mov(ecx, 0xfff);
            a.Label(ref top);
            if (bits == 64) a.push(rcx);
            else a.push(ecx);
            a.and(bits == 64 ? __dword_ptr[rsp] : __dword_ptr[esp], (int)MayChange);
            if (bits == 64) a.popfq();
            else a.popfd();
            if (bits == 64) a.pushfq();
            else a.pushfd();
            if (bits == 64) a.pop(rax);
            else a.pop(eax);
            a.lea(ebx, bits == 64 ? __[rbx + (rax * 2) + 1] : __[ebx + (eax * 2) + 1]);
            if (bits == 64) a.lea(rcx, __[rcx - 1]);
            else a.lea(ecx, __[ecx - 1]);
            a.test(ecx, ecx);
            a.jne(top);
            a.hlt();
        });
        machine.RunToHalt();
        uint expected = 0;
        for (uint i = 0xfff; i != 0; i--) expected += (((i & (uint)MayChange) | 2) * 2) + 1;
        ((uint)machine.State->Gpr[3]).ShouldBe(expected);
    }

    [EngineFact]
    public void Popf_that_sets_IF_lets_a_waiting_interrupt_in_at_once()
    {
        using TestMachine machine = Make(64);
        machine.Assemble(64, a =>
        {
            a.push((int)RflagsBits.If);
            a.popfq();
            a.mov(eax, 1);
            a.hlt();
        });
        machine.State->Gpr[0] = 0;
        machine.Bus.Interrupts.Enqueue(0x40);
        machine.Processor.Post(ProcessorEvents.Interrupt);
        machine.RunToVector().ShouldBe(0x40);
        machine.State->Gpr[0].ShouldBe(0UL);
    }

    [EngineFact]
    public void Direction_says_which_way_strings_go()
    {
        using TestMachine machine = Make(64);
        for (uint i = 0; i < 8; i++) machine.Write64(TestMachine.Data + (i * 8), 0x1111_1111_1111_1111UL * (i + 1));
        machine.Assemble(64, a =>
        {
            a.mov(esi, TestMachine.Data + 32);
            a.mov(edi, TestMachine.Data + 0x100);
            a.std();
            a.lodsq();
            a.mov(rbx, rax);
            a.cld();
            a.lodsq();
            a.lodsq();
            a.stosd();
            a.std();
            a.movsw();
            a.cld();
            a.movsb();
            a.scasb();
            a.cmpsb();
            a.hlt();
        });
        machine.RunToHalt();
        machine.State->Gpr[3].ShouldBe(0x5555_5555_5555_5555UL);
        machine.State->Gpr[0].ShouldBe(0x5555_5555_5555_5555UL);
        machine.State->Gpr[6].ShouldBe(TestMachine.Data + 32UL - 8 + 16 - 2 + 1 + 1);
        machine.State->Gpr[7].ShouldBe(TestMachine.Data + 0x100UL + 4 - 2 + 1 + 1 + 1);
    }

    [EngineTheory]
    [InlineData(0, 16)]
    [InlineData(0, 4096)]
    [InlineData(0, 4097)]
    [InlineData(4080, 16)]
    [InlineData(4080, 17)]
    [InlineData(100, 0)]
    [InlineData(0, 0)]
    [InlineData(5, 10000)]
    public void Repeated_moves_and_stores_reach_exactly_as_far_as_RCX_says(int offset, int count)
    {
        using TestMachine machine = Make(64);
        uint source = 0x200000 + (uint)offset;
        uint target = 0x280000 + (uint)offset;
        var data = new byte[count + 2];
        new Random(count).NextBytes(data);
        machine.Memory.Write(new Ringfence.Memory.GuestPhysical(source - 1), data);
        machine.Assemble(64, a =>
        {
            a.mov(esi, source);
            a.mov(edi, target);
            a.mov(ecx, count);
            a.rep.movsb();
            a.mov(eax, 0x77);
            a.mov(edi, target + 0x4000);
            a.mov(ecx, count);
            a.rep.stosb();
            a.hlt();
        });
        machine.RunToHalt();
        machine.State->Gpr[1].ShouldBe(0UL);
        machine.State->Gpr[6].ShouldBe(source + (ulong)count);
        machine.State->Gpr[7].ShouldBe(target + 0x4000UL + (ulong)count);
        var copied = new byte[count + 2];
        machine.Memory.Read(new Ringfence.Memory.GuestPhysical(target - 1), copied);
        copied[1..^1].ShouldBe(data[1..^1]);
        copied[0].ShouldBe((byte)0);
        copied[^1].ShouldBe((byte)0);
        machine.Memory.Read(new Ringfence.Memory.GuestPhysical(target + 0x3fff), copied);
        copied[1..^1].ShouldAllBe(b => b == 0x77);
        copied[0].ShouldBe((byte)0);
        copied[^1].ShouldBe((byte)0);
    }

    [EngineTheory]
    [InlineData(8, 3000, -8)]
    [InlineData(8, 700, 8)]
    [InlineData(8, 1024, 0x8000)]
    [InlineData(4, 2000, -3)]
    [InlineData(1, 9000, 1)]
    [InlineData(2, 600, -4096)]
    public void Moves_downwards_go_element_by_element_however_they_overlap(int size, int count, int distance)
    {
        using TestMachine machine = Make(64);
        const int Origin = 0x200000;
        const int Length = 0x20000;
        var memory = new byte[Length];
        new Random(count).NextBytes(memory);
        machine.Memory.Write(new Ringfence.Memory.GuestPhysical(Origin), memory);
        const int Source = 0xb123;
        machine.Assemble(64, a =>
        {
            a.mov(esi, Origin + Source);
            a.mov(edi, Origin + Source + distance);
            a.mov(ecx, count);
            a.std();
            if (size == 8) a.rep.movsq();
            else if (size == 4) a.rep.movsd();
            else if (size == 2) a.rep.movsw();
            else a.rep.movsb();
            a.cld();
            a.hlt();
        });
        machine.RunToHalt();
        for (int i = 0; i < count; i++) memory.AsSpan(Source - (i * size), size).ToArray().CopyTo(memory.AsSpan(Source + distance - (i * size), size));
        var actual = new byte[Length];
        machine.Memory.Read(new Ringfence.Memory.GuestPhysical(Origin), actual);
        actual.SequenceEqual(memory).ShouldBeTrue();
        machine.State->Gpr[6].ShouldBe((ulong)(Origin + Source - (count * size)));
        machine.State->Gpr[7].ShouldBe((ulong)(Origin + Source + distance - (count * size)));
    }

    [EngineTheory]
    [InlineData(32)]
    [InlineData(64)]
    public void High_bytes_work_with_memory_as_the_low_ones_do(int bits)
    {
        using TestMachine machine = Make(bits);
        machine.Write64(0x200000, 0x0807_0605_0403_0201);
        machine.Assemble(bits, a =>
        {
            AssemblerMemoryOperand At(int offset) => bits == 64 ? __byte_ptr[rsi + offset] : __byte_ptr[esi + offset];
            a.mov(esi, 0x200000);
            a.mov(eax, 0x1122_3344);
            a.mov(ebx, 0x5566_7788);
            a.mov(ecx, 0x99aa_bbcc);
            a.mov(edx, unchecked((int)0xddee_ff00));
            a.mov(ah, At(1));                       // 02
            a.add(ah, At(2));                       // 05
            a.stc();
            a.adc(At(3), bh);                       // 04 + 77 + 1 = 7c
            a.mov(At(4), ch);                       // bb
            a.xchg(At(5), dh);                      // ff, 06
            a.@lock.xadd(At(6), bh);                // 07 + 77 = 7e, 07
            a.mov(al, 8);
            a.cmpxchg(At(7), ch);                   // bb
            a.sete(cl);
            a.cmp(bh, At(6));                       // 07 - 7e: CF
            a.setb(dl);
            a.hlt();
        });
        machine.RunToHalt();
        machine.Read64(0x200000).ShouldBe(0xbb7e_ffbb_7c03_0201UL);
        ((uint)machine.State->Gpr[0]).ShouldBe(0x1122_0508u);
        ((uint)machine.State->Gpr[3]).ShouldBe(0x5566_0788u);
        ((uint)machine.State->Gpr[1]).ShouldBe(0x99aa_bb01u);
        ((uint)machine.State->Gpr[2]).ShouldBe(0xddee_0601u);
    }

    [EngineFact]
    public void Segment_registers_are_pushed_as_numbers()
    {
        using TestMachine machine = Make(32);
        machine.Assemble(32, a =>
        {
            a.push(cs);
            a.push(fs);
            a.pop(eax);
            a.pop(ebx);
            a.hlt();
        });
        machine.State->Segment(SegmentIndex.Fs).Selector = 0xfff8;
        machine.RunToHalt();
        machine.State->Gpr[0].ShouldBe(0xfff8UL);
        machine.State->Gpr[3].ShouldBe(TestMachine.Code0);
    }

    [EngineTheory]
    [InlineData(true, 0, 10, 1)]
    [InlineData(true, 0, 7, 7)]
    [InlineData(true, 0, 0, 0)]
    [InlineData(true, 4094, 10, 10)]
    [InlineData(true, 0, 4096, 100)]
    [InlineData(false, 0, 5, 5)]
    [InlineData(false, 0, 4096, 4096)]
    [InlineData(false, 1, 4096, 1)]
    public void Repeated_comparisons_stop_where_they_must(bool whileEqual, int offset, int count, int expected)
    {
        using TestMachine machine = Make(64);
        uint first = 0x200000 + (uint)offset;
        uint second = 0x280000 + (uint)offset;
        for (int i = 0; i < 4200; i++)
        {
            machine.Memory.Write(new Ringfence.Memory.GuestPhysical(first + (ulong)i), [(byte)(i & 0x7f)]);
            bool differs = whileEqual == (i == expected - 1 && expected != count);
            if (whileEqual && expected == count) differs = false;
            if (!whileEqual && expected == count) differs = true;
            machine.Memory.Write(new Ringfence.Memory.GuestPhysical(second + (ulong)i), [(byte)((i & 0x7f) + (differs ? 1 : 0))]);
        }

        machine.Assemble(64, a =>
        {
            a.mov(rsi, first);
            a.mov(rdi, second);
            a.mov(ecx, count);
            a.mov(eax, 1);
            a.cmp(eax, 2);
            if (whileEqual) a.repe.cmpsb();
            else a.repne.cmpsb();
            a.setb(dl);
            a.sete(bl);
            a.hlt();
        });
        machine.RunToHalt();
        machine.State->Gpr[1].ShouldBe((ulong)(count - expected));
        machine.State->Gpr[6].ShouldBe(first + (ulong)expected);
        machine.State->Gpr[7].ShouldBe(second + (ulong)expected);
        bool equal = count != 0 && whileEqual == (expected == count);
        (machine.State->Gpr[3] & 0xff).ShouldBe(equal ? 1UL : 0UL);
        (machine.State->Gpr[2] & 0xff).ShouldBe(equal ? 0UL : 1UL);
    }

    [EngineFact]
    public void A_page_of_code_that_is_written_by_a_repeated_instruction_runs_as_written()
    {
        using TestMachine machine = Make(64);
        const uint Other = 0x200000;
        machine.Assemble(64, a => { a.inc(eax); a.ret(); }, Other);
        machine.Memory.Write(new Ringfence.Memory.GuestPhysical(0x280000), [0x83, 0xc0, 0x10, 0xc3]);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.xor(eax, eax);
            a.mov(ebx, Other);
            a.mov(ebp, 3);
            a.Label(ref top);
            a.call(rbx);
            a.call(rbx);
            a.mov(esi, 0x280000);
            a.mov(edi, Other);
            a.mov(ecx, 4096);
            a.rep.movsb();
            a.dec(ebp);
            a.jne(top);
            a.hlt();
        });
        machine.RunToHalt();
        machine.State->Gpr[0].ShouldBe(2UL + (4 * 16));
    }

    [EngineFact]
    public void An_overlapping_move_repeats_what_it_has_written()
    {
        using TestMachine machine = Make(64);
        machine.Write64(0x200000, 0x0807_0605_0403_0201);
        machine.Assemble(64, a =>
        {
            a.mov(esi, 0x200000);
            a.mov(edi, 0x200003);
            a.mov(ecx, 20);
            a.rep.movsb();
            a.hlt();
        });
        machine.RunToHalt();
        machine.Read64(0x200000).ShouldBe(0x0201_0302_0103_0201UL);
        machine.Read64(0x20000c).ShouldBe(0x0201_0302_0103_0201UL);
    }

    [EngineFact]
    public void Two_operands_whose_pages_share_a_TLB_entry_are_both_reached()
    {
        using var machine = new TestMachine();
        machine.EnterLongSmall();
        // A second PDPTE's worth of linear space that shows the same tables: pages a multiple of every table's size apart.
        machine.Write64(TestMachine.PageTables + 0x1008, (TestMachine.PageTables + 0x2000) | 7UL);
        machine.Write64(0x200000, 0x1234);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.mov(ebx, 50);
            a.Label(ref top);
            a.mov(esi, 0x200000);
            a.mov(edi, 0x4020_0800);
            a.movsq();
            a.push(__qword_ptr[0x4020_0800]);
            a.pop(rax);
            a.mov(rsi, rax);
            a.dec(ebx);
            a.jne(top);
            a.hlt();
        });
        machine.RunToHalt();
        machine.State->Gpr[0].ShouldBe(0x1234UL);
        machine.Read64(0x200800).ShouldBe(0x1234UL);
    }

    [EngineTheory]
    [InlineData(32)]
    [InlineData(64)]
    public void A_bit_string_is_addressed_by_a_signed_offset(int bits)
    {
        using TestMachine machine = Make(bits);
        const uint Middle = 0x200800;
        long[] offsets = [0, 1, 63, 64, -1, -64, -65, 1000, -1000, 0x3fff, -0x4000];
        foreach (long offset in offsets)
        {
            machine.State->Rip = TestMachine.Code;
            machine.State->Activity = ActivityState.Active;
            machine.Assemble(bits, a =>
            {
                a.mov(esi, Middle);
                if (bits == 64)
                {
                    a.mov(r13, offset);
                    a.@lock.bts(__qword_ptr[rsi], r13);
                    a.setc(al);
                    a.bt(__qword_ptr[rsi], r13);
                    a.setc(bl);
                    a.stc();
                    a.bt(__qword_ptr[rsi + 8], r13);
                    a.mov(ecx, (int)offset);
                    a.btr(__dword_ptr[rsi], ecx);
                    a.setc(dl);
                    a.btc(__dword_ptr[rsi], ecx);
                    a.setc(dh);
                }
                else
                {
                    a.mov(ecx, (int)offset);
                    a.@lock.bts(__dword_ptr[esi], ecx);
                    a.setc(al);
                    a.bt(__dword_ptr[esi], ecx);
                    a.setc(bl);
                    a.btr(__dword_ptr[esi], ecx);
                    a.setc(dl);
                    a.btc(__dword_ptr[esi], ecx);
                    a.setc(dh);
                }

                a.hlt();
            });
            machine.RunToHalt();
            (machine.State->Gpr[0] & 1).ShouldBe(0UL, $"{offset}");
            (machine.State->Gpr[3] & 1).ShouldBe(1UL, $"{offset}");
            (machine.State->Gpr[2] & 0x101).ShouldBe(1UL, $"{offset}");
            machine.Read8((ulong)(Middle + (offset >> 3))).ShouldBe((byte)(1 << (int)(offset & 7)), $"{offset}");
            machine.Write64((uint)(Middle + (offset >> 3)) & ~7u, 0);
        }
    }

    [EngineFact]
    public void Bit_strings_keep_the_other_status_flags()
    {
        using TestMachine machine = Make(64);
        machine.Assemble(64, a =>
        {
            a.mov(esi, 0x200000);
            a.mov(ecx, 5);
            a.mov(eax, 0x80);
            a.add(al, al);                          // OF, CF, ZF, PF
            a.bts(__qword_ptr[rsi], rcx);           // CF = 0
            a.pushfq();
            a.pop(rbx);
            a.hlt();
        });
        machine.RunToHalt();
        (machine.State->Gpr[3] & RflagsBits.Status).ShouldBe(RflagsBits.Of | RflagsBits.Zf | RflagsBits.Pf);
    }

    [EngineFact]
    public void Mxcsr_is_loaded_and_stored_and_decides_about_rounding()
    {
        using TestMachine machine = Make(64);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.mov(ecx, 4);
            a.xor(ebx, ebx);
            a.Label(ref top);
            a.lea(eax, __[rcx - 1]);
            a.shl(eax, 13);
            a.or(eax, 0x1f80);
            a.mov(__dword_ptr[0x200000], eax);
            a.ldmxcsr(__dword_ptr[0x200000]);
            a.mov(eax, 0x3fc0_0000);                // 1.5
            a.movd(xmm0, eax);
            a.cvtss2si(eax, xmm0);
            a.shl(ebx, 4);
            a.add(ebx, eax);
            a.stmxcsr(__dword_ptr[0x200004]);
            a.dec(ecx);
            a.jne(top);
            a.hlt();
        });
        machine.RunToHalt();
        machine.State->Gpr[3].ShouldBe(0x1212UL, "towards zero, up, down, nearest");
        machine.Read32(0x200004).ShouldBe(0x1fa0u, "inexact");
    }

    [EngineTheory]
    [InlineData(0x10000u, 13)]
    [InlineData(0x1f00u, 19)]
    public void Mxcsr_values_beside_the_usual_ones_do_what_they_must(uint value, int vector)
    {
        using TestMachine machine = Make(64);
        machine.State->Cr4 |= Cr4.Osxmmexcpt;
        machine.Processor.RefreshMode();
        machine.Write32(0x200000, value);
        machine.Assemble(64, a =>
        {
            a.pxor(xmm1, xmm1);
            a.ldmxcsr(__dword_ptr[0x200000]);
            a.mov(eax, unchecked((int)0xbf80_0000));
            a.movd(xmm0, eax);
            a.sqrtss(xmm0, xmm0);
            a.hlt();
        });
        machine.RunToVector().ShouldBe(vector);
    }

    [EngineFact]
    public void Stac_and_clac_open_and_close_user_pages()
    {
        using TestMachine machine = Make(64);
        machine.EnterLongSmall();
        // Everything is a user page, so that code must run without SMEP; SMAP is what counts.
        machine.State->Cr4 |= Cr4.Smap;
        machine.Processor.RefreshMode();
        machine.Processor.Mmu.Flush();
        SupervisorPages(machine, TestMachine.PageTables);
        machine.Map(SourcePage, 0x200000);
        machine.Write64(0x200000, 1);
        machine.Assemble(64, a =>
        {
            Label top = a.CreateLabel();
            a.mov(ecx, 30);
            a.mov(esi, SourcePage);
            a.Label(ref top);
            a.stac();
            a.add(eax, __dword_ptr[rsi]);
            a.stac();
            a.add(eax, __dword_ptr[rsi]);
            a.clac();
            a.clac();
            a.dec(ecx);
            a.jne(top);
            a.mov(ebx, __dword_ptr[rsi]);
            a.hlt();
        });
        machine.State->Gpr[0] = 0;
        machine.RunToFault().ShouldBe((ExceptionVector.PageFault, 1u));
        machine.State->Cr2.ShouldBe(SourcePage);
        machine.State->Gpr[0].ShouldBe(60UL);
    }

    [EngineFact]
    public void Bases_control_registers_and_selectors_are_read_and_swapped()
    {
        using TestMachine machine = Make(64);
        machine.State->Cr4 |= Cr4.Fsgsbase;
        machine.State->Cr2 = 0x1234_5678_9abc;
        machine.State->KernelGsBase = 0x7000;
        machine.Assemble(64, a =>
        {
            a.mov(rax, 0xffff_8000_0000_1000);
            a.wrgsbase(rax);
            a.swapgs();
            a.rdgsbase(r12);
            a.swapgs();
            a.rdgsbase(rbx);
            a.mov(rax, 0x1_0000_2000);
            a.wrfsbase(eax);
            a.rdfsbase(rdx);
            a.mov(r14, cr2);
            a.mov(rsi, cr3);
            a.mov(r15, -1);
            a.mov(r15w, cs);
            a.mov(rdi, -1);
            a.mov(edi, cs);
            a.mov(__word_ptr[0x200000], ss);
            a.hlt();
        });
        machine.RunToHalt();
        machine.State->Gpr[12].ShouldBe(0x7000UL);
        machine.State->Gpr[3].ShouldBe(0xffff_8000_0000_1000UL);
        machine.State->Gpr[2].ShouldBe(0x2000UL);
        machine.State->Gpr[14].ShouldBe(0x1234_5678_9abcUL);
        machine.State->Gpr[6].ShouldBe(TestMachine.PageTables);
        machine.State->Gpr[15].ShouldBe(0xffff_ffff_ffff_0000UL | TestMachine.LongCode0);
        machine.State->Gpr[7].ShouldBe(TestMachine.LongCode0);
        machine.Read64(0x200000).ShouldBe(TestMachine.Data0);
    }

    [EngineTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_write_to_CR3_forgets_all_pages_but_global_ones(bool global)
    {
        using TestMachine machine = Make(64);
        machine.EnterLongSmall();
        machine.State->Cr4 |= Cr4.Pge;
        machine.Processor.Mmu.Flush();
        machine.Map(SourcePage, 0x200000, SmallPages.Present | SmallPages.Writable | (global ? 0x100UL : 0));
        machine.Write64(0x200000, 1);
        machine.Write64(0x201000, 2);
        machine.Assemble(64, a =>
        {
            a.mov(esi, SourcePage);
            a.mov(eax, __dword_ptr[rsi]);
            a.mov(__dword_ptr[rsi + 8], eax);
            a.mov(__dword_ptr[SmallPages.Pte(SourcePage)], 0x201003 | (global ? 0x100 : 0));
            a.mov(rax, cr3);
            a.mov(cr3, rax);
            a.mov(ebx, __dword_ptr[rsi]);
            a.invlpg(__byte_ptr[rsi]);
            a.mov(edx, __dword_ptr[rsi]);
            a.hlt();
        });
        machine.RunToHalt();
        machine.State->Gpr[3].ShouldBe(global ? 1UL : 2UL);
        machine.State->Gpr[2].ShouldBe(2UL);
    }

    private static TestMachine Make(int bits)
    {
        var machine = new TestMachine();
        if (bits == 64) machine.EnterLong();
        else machine.EnterProtected();
        return machine;
    }

    /// <summary>Takes the user bit away from all mapped pages.</summary>
    private static void SupervisorPages(TestMachine machine, uint tables)
    {
        for (uint page = 0; page < 1024; page++) machine.Write64(SmallPages.Pte(page << 12, tables), (page << 12) | 3UL);
        machine.Processor.Mmu.Flush();
    }
}
