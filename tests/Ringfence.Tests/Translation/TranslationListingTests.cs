using Iced.Intel;
using Ringfence.Execution.Translation;
using Ringfence.Execution.Translation.Listing;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using Decoder = Iced.Intel.Decoder;

namespace Ringfence.Tests.Translation;

/// <summary>What the translator makes of code, looked at without running it.</summary>
public sealed class TranslationListingTests
{
    private const ulong Origin = 0x1000;

    private static readonly HostCodeLabel[] Ours = [HostCodeLabel.Poll, HostCodeLabel.Flags, HostCodeLabel.Link];

    [SkippableFact]
    public void The_first_unit_of_isPrime_is_three_copied_instructions_and_a_conditional_jump()
    {
        TranslationListing listing = List(64, Samples.IsPrime);
        ListedUnit unit = listing.Units[0];
        unit.Instructions.Select(i => i.Text).ShouldBe(["mov ecx,edi", "mov esi,2", "cmp esi,ecx", $"jge 0x{Samples.IsPrimeLabel("prime"):x}"]);

        // What begins every fragment is ours: a look for events.
        unit.Fragment!.Instructions.Take(2).Select(i => (i.Label, i.GuestIndex)).ShouldBe([(HostCodeLabel.Poll, null), (HostCodeLabel.Poll, null)]);
        ListedHostInstruction[] code = [.. unit.Fragment.Instructions.Skip(2)];
        code.Select(i => i.Label).ShouldBe([HostCodeLabel.Ident, HostCodeLabel.Ident, HostCodeLabel.Ident, HostCodeLabel.Jcc]);
        code.Select(i => i.GuestIndex).ShouldBe([0, 1, 2, 3]);
        for (int i = 0; i < 3; i++) code[i].Bytes.ToArray().ShouldBe(unit.Instructions[i].Bytes.ToArray());
        code[3].Text.ShouldBe($"jge fragment_{Samples.IsPrimeLabel("prime"):x}");
    }

    [SkippableFact]
    public void The_jump_to_the_next_fragment_disappears_when_it_is_laid_behind()
    {
        TranslationListing listing = List(64, Samples.IsPrime);
        ListedFragment first = listing.Units[0].Fragment!;
        ListedUnit second = listing.Units[1];
        second.Address.ShouldBe(Samples.IsPrimeLabel("nexti"));
        first.RunsInto.ShouldBe(second.Address);
        first.Instructions.ShouldNotContain(i => i.Label == HostCodeLabel.Link);
        ListedHostInstruction last = first.Instructions[^1];
        second.Fragment!.Instructions[0].Address.ShouldBe(last.Address + (ulong)last.Bytes.Length);
    }

    [SkippableFact]
    public void Units_are_laid_as_control_falls_through_and_then_as_transfers_lead()
    {
        TranslationListing listing = List(64, Samples.IsPrime);
        listing.Units.Select(u => u.Address).ShouldBe(
        [
            Origin, Samples.IsPrimeLabel("nexti"), Samples.IsPrimeLabel("afterTest"), Samples.IsPrimeLabel("prime"), Samples.IsPrimeLabel("notPrime"),
        ]);
        listing.Units.SelectMany(u => u.Fragment!.Instructions).ShouldNotContain(i => i.Text.Contains("exit_to", StringComparison.Ordinal));
        listing.UnreachedBytes.ShouldBe(0);
    }

    [SkippableTheory]
    [InlineData("eb fe", "jmp")]
    [InlineData("75 fe", "jne")]
    [InlineData("e2 fe", "jmp")]                        // LOOP: a jump behind JRCXZ
    [InlineData("e8 fb ff ff ff", "jmp")]
    public void A_transfer_that_does_not_lead_forward_enters_where_events_are_looked_for(string hex, string jump)
    {
        string entry = List(64, Samples.Bytes(hex)).Units[0].Fragment!.Instructions.Last(i => i.Text.StartsWith(jump, StringComparison.Ordinal) && i.Label != HostCodeLabel.Link).Text;
        entry.ShouldStartWith($"{jump} fragment_1000.poll");
    }

    [SkippableFact]
    public void A_transfer_that_leads_forward_enters_behind_the_look_for_events()
    {
        ListedUnit unit = List(64, Samples.Bytes("75 01 90 c3")).Units[0];
        unit.Fragment!.Instructions.ShouldContain(i => i.Label == HostCodeLabel.Jcc && i.Text == "jne fragment_1003");
    }

    [SkippableTheory]
    [InlineData(16)]
    [InlineData(32)]
    [InlineData(64)]
    public void A_unit_ends_with_its_twelfth_instruction(int bits)
    {
        byte[] code = [.. Enumerable.Repeat<byte[]>([0x01, 0xd8], 30).SelectMany(b => b)];
        TranslationListing listing = List(bits, code);
        listing.Units.Select(u => u.Instructions.Count).ShouldBe([12, 12, 6]);
        listing.Units[0].Fragment!.RunsInto.ShouldBe(Origin + 24);
        listing.Units[2].Fragment!.Instructions[^1].Label.ShouldBe(HostCodeLabel.Link);
    }

    [SkippableTheory]
    [InlineData(32)]
    [InlineData(64)]
    public void What_continues_in_the_next_page_is_executed_by_itself_and_pages_are_joined_through_the_table(int bits)
    {
        // ADD to the page's last two bytes but one; MOV ECX, 5 across the boundary; then ADD and RET.
        byte[] code = Samples.Bytes("01 d8 b9 05 00 00 00 01 d8 c3");
        TranslationListing listing = TranslationListing.Create(OnHost(code), bits, 0x1ffc);
        listing.Units.Select(u => u.Address).ShouldBe([0x1ffcUL, 0x1ffe, 0x2003]);
        listing.Units[1].Fragment.ShouldBeNull();
        listing.Units[1].Instructions.Select(i => i.Text).ShouldBe(["mov ecx,5"]);
        listing.Units[2].Fragment!.RarePaths.ShouldContain(i => i.Label == HostCodeLabel.Entry);
    }

    [SkippableTheory]
    [InlineData(16, 0xfff0UL)]
    [InlineData(32, 0xffff_fff0UL)]
    [InlineData(64, 0xffff_ffff_8100_0ff8UL)]
    [InlineData(64, 0x0000_7fff_ffff_fff0UL)]
    public void Code_may_lie_anywhere_in_its_address_space(int bits, ulong origin)
    {
        TranslationListing listing = TranslationListing.Create(OnHost(Samples.Bytes("01 d8 01 d8 01 d8 01 d8 01 d8 c3")), bits, origin);
        listing.Units[0].Address.ShouldBe(origin);
        listing.UnreachedBytes.ShouldBe(0);
    }

    [Theory]
    [InlineData(16, 0xfff8UL, false)]
    [InlineData(16, 0xfff0UL, true)]
    [InlineData(32, 0xffff_fff8UL, false)]
    [InlineData(32, 0x1_0000_0000UL, false)]
    [InlineData(64, 0x0000_7fff_ffff_fff8UL, false)]
    [InlineData(64, 0x0000_8000_0000_0000UL, false)]
    [InlineData(64, 0xffff_ffff_ffff_fff8UL, false)]
    [InlineData(64, 0xffff_8000_0000_0000UL, true)]
    public void Code_does_not_wrap_around(int bits, ulong origin, bool fits) => TranslationListing.Fits(16, bits, origin).ShouldBe(fits);

    [SkippableFact]
    public void Each_instruction_decodes_to_its_text_and_stands_in_its_place()
    {
        TranslationListing listing = List(64, Samples.IsPrime);
        foreach (ListedUnit unit in listing.Units)
        {
            ulong at = unit.Fragment!.Instructions[0].Address;
            foreach (ListedHostInstruction instruction in unit.Fragment!.Instructions)
            {
                instruction.Address.ShouldBe(at);
                Decoder decoder = Decoder.Create(64, instruction.Bytes.ToArray());
                decoder.Decode(out Instruction decoded);
                decoded.Length.ShouldBe(instruction.Bytes.Length);
                at += (ulong)instruction.Bytes.Length;
            }
        }
    }

    [SkippableFact]
    public void What_is_copied_is_the_guests_and_what_is_ours_belongs_to_no_copied_instruction()
    {
        foreach (ListedUnit unit in List(64, Samples.IsPrime).Units)
        {
            foreach (ListedHostInstruction instruction in unit.Fragment!.Instructions)
            {
                if (instruction.Label == HostCodeLabel.Ident) instruction.Text.ShouldBe(unit.Instructions[instruction.GuestIndex!.Value].Text);
                else if (!Ours.Contains(instruction.Label)) instruction.GuestIndex.ShouldBe(unit.Instructions.Count - 1);
            }
        }
    }

    [SkippableFact]
    public void A_fragment_of_a_running_machine_is_listed_as_it_is_and_left_alone()
    {
        Skip.IfNot(TranslationListing.IsSupported);
        using var machine = new BareProcessor(processor => new Translator(processor));
        machine.Load(Count);
        machine.Run(1000);
        var translator = (Translator)machine.Engine;
        ListedUnit loop = translator.ListFragments(BareProcessor.Code + 5).ShouldHaveSingleItem();
        loop.Instructions.Select(i => i.Text).ShouldBe(["inc eax", "cmp eax,ecx", $"jne 0x{BareProcessor.Code + 5:x}"]);
        loop.Fragment!.Instructions.Where(i => i.Label == HostCodeLabel.Ident).Count().ShouldBe(2);
        loop.Fragment.Instructions.Single(i => i.Label == HostCodeLabel.Jcc).Text.ShouldStartWith($"jne fragment_{BareProcessor.Code + 5:x}");

        string[] before = [.. loop.Fragment.Instructions.Select(i => i.Text)];
        uint count = machine.Read(BareProcessor.Code);
        machine.Run(1000);
        machine.Read(BareProcessor.Code).ShouldBe(count);
        translator.ListFragments(BareProcessor.Code + 5)[0].Fragment!.Instructions.Select(i => i.Text).ShouldBe(before);
        translator.ListFragments(0x1234).ShouldBeEmpty();

        static void Count(Assembler c)
        {
            Label loop = c.CreateLabel();
            c.mov(ecx, -1);
            c.Label(ref loop);
            c.inc(eax);
            c.cmp(eax, ecx);
            c.jne(loop);
            c.hlt();
        }
    }

    [SkippableFact]
    public void What_cannot_be_listed_is_refused()
    {
        Skip.IfNot(TranslationListing.IsSupported);
        Should.Throw<ArgumentException>(() => TranslationListing.Create([], 64, Origin));
        Should.Throw<ArgumentException>(() => TranslationListing.Create([0xc3], 63, Origin));
        Should.Throw<ArgumentException>(() => TranslationListing.Create(new byte[TranslationListing.MaxCodeBytes + 1], 64, Origin));
        Should.Throw<ArgumentException>(() => TranslationListing.Create([0xc3], 16, 0x10000));
    }

    [SkippableFact]
    public void Any_bytes_can_be_listed()
    {
        const int Listings = 400;
        var random = new Random(1);
        for (int i = 0; i < Listings; i++)
        {
            byte[] code = new byte[random.Next(1, 400)];
            random.NextBytes(code);
            int bits = 16 << random.Next(3);
            TranslationListing listing = TranslationListing.Create(OnHost(code), bits, (ulong)random.Next(0xf000));
            foreach (ListedUnit unit in listing.Units)
            {
                if (unit.Fragment is null) continue;
                unit.Fragment.Instructions.Concat(unit.Fragment.RarePaths).ShouldNotContain(h => h.Text == "(bad)", Convert.ToHexString(code));
            }
        }
    }

    private static TranslationListing List(int bits, byte[] code) => TranslationListing.Create(OnHost(code), bits, Origin);

    private static byte[] OnHost(byte[] code)
    {
        Skip.IfNot(TranslationListing.IsSupported, "Binary translation needs x86-64 Linux.");
        return code;
    }
}
