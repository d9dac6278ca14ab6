using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Sensitive;

/// <summary>
/// Access rights of paging, every combination, in each paging mode (Intel SDM 3A 4.6, 4.7): rights of both levels, page size, WP, SMEP, SMAP,
/// AC, NXE, against the manual's text written down once more.
/// </summary>
public sealed unsafe class PagingPermissionTests
{
    private const uint Linear = 0x80_0000;
    private const uint Page = 0x20_0000;
    private const ulong Present = 1, Writable = 2, User = 4, NoExecute = 1UL << 63;

    public enum PagingMode
    {
        Narrow,
        Pae,
        FourLevel,
    }

    public enum Access
    {
        UserRead,
        UserWrite,
        UserFetch,
        SupervisorRead,
        SupervisorWrite,
        SupervisorFetch,
        ImplicitRead,
        ImplicitWrite,
    }

    [Theory]
    [InlineData(PagingMode.Narrow)]
    [InlineData(PagingMode.Pae)]
    [InlineData(PagingMode.FourLevel)]
    public void Every_combination_of_rights_is_decided_as_the_manual_says(PagingMode mode)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        var wrong = new List<string>();
        for (int bits = 0; bits < 1 << 10; bits++)
        {
            var setting = new Setting(mode, bits);
            if (mode == PagingMode.Narrow && (setting.UpperNoExecute || setting.LowerNoExecute)) continue;
            Build(machine, setting);
            foreach (Access access in Enum.GetValues<Access>())
            {
                uint? expected = Expected(setting, access);
                uint? actual = Try(machine, access);
                if (expected != actual) wrong.Add($"{setting} {access}: {actual?.ToString("x") ?? "allowed"}, not {expected?.ToString("x") ?? "allowed"}");
            }
        }

        wrong.ShouldBeEmpty();
    }

    [Theory]
    [InlineData(PagingMode.Narrow)]
    [InlineData(PagingMode.Pae)]
    [InlineData(PagingMode.FourLevel)]
    public void A_page_that_is_not_present_has_P_clear_in_its_error_code(PagingMode mode)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        Build(machine, new Setting(mode, 0));
        uint entry = mode == PagingMode.Narrow ? TestMachine.PageTables + 0x1000 : TestMachine.PageTables + 0x3000;
        machine.Write64(entry, 0);
        machine.Processor.Mmu.Flush();
        Try(machine, Access.UserWrite).ShouldBe(6U);
        Try(machine, Access.ImplicitRead).ShouldBe(0U);
        machine.State->Cr2.ShouldBe(Linear);
    }

    [Theory]
    [InlineData(PagingMode.Pae, 1UL << 40)]
    [InlineData(PagingMode.Pae, 1UL << 62)]
    [InlineData(PagingMode.Pae, 1UL << 63)]
    [InlineData(PagingMode.FourLevel, 1UL << 51)]
    [InlineData(PagingMode.FourLevel, 1UL << 63)]
    public void A_reserved_bit_is_RSVD_and_bit_63_is_reserved_without_NXE(PagingMode mode, ulong bit)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        Build(machine, new Setting(mode, 0));
        machine.State->Efer &= ~Efer.Nxe;
        machine.Write64(TestMachine.PageTables + 0x3000, Page | Present | Writable | User | bit);
        machine.Processor.Mmu.Flush();
        Try(machine, Access.UserRead).ShouldBe(0xdU);
    }

    [Theory]
    [InlineData(PagingMode.Narrow)]
    [InlineData(PagingMode.Pae)]
    [InlineData(PagingMode.FourLevel)]
    public void Accessed_and_dirty_bits_follow_the_access_and_a_refused_one_sets_none(PagingMode mode)
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        Build(machine, new Setting(mode, 0b0011));
        uint leaf = mode == PagingMode.Narrow ? TestMachine.PageTables + 0x1000 : TestMachine.PageTables + 0x3000;
        Try(machine, Access.UserRead).ShouldBe(5U);
        (machine.Read32(leaf) & 0x60).ShouldBe(0U);
        Try(machine, Access.SupervisorRead).ShouldBeNull();
        (machine.Read32(leaf) & 0x60).ShouldBe(0x20U);
        Try(machine, Access.SupervisorWrite).ShouldBeNull();
        (machine.Read32(leaf) & 0x60).ShouldBe(0x60U);
    }

    [Fact]
    public void A_four_MiB_page_reaches_beyond_4_GiB_with_PSE_36()
    {
        using var machine = new TestMachine();
        machine.EnterProtected();
        machine.State->Cr4 = Cr4.Pse;
        machine.State->Cr0 |= Cr0.Pg;
        machine.State->Cr3 = TestMachine.PageTables;
        machine.Write32(TestMachine.PageTables + 8, 0x0040_0000 | (0x12 << 13) | 0x83);
        machine.Processor.Mmu.Flush();
        machine.Processor.Mmu.TryTranslateFetch(0x81_2345, out ulong physical).ShouldBeTrue();
        physical.ShouldBe(0x12_0041_2345UL);
    }

    [Fact]
    public void A_one_GiB_page_maps_and_its_low_address_bits_are_reserved()
    {
        using var machine = new TestMachine();
        machine.EnterLong();
        machine.Write64(TestMachine.PageTables + 0x1008, 0x4000_0000 | 0x87);
        machine.Write64(TestMachine.PageTables + 0x1010, 0x4020_0000 | 0x87);
        machine.Processor.Mmu.TryTranslateFetch(0x4123_4567, out ulong physical).ShouldBeTrue();
        physical.ShouldBe(0x4123_4567UL);
        machine.Processor.Mmu.TryTranslateFetch(0x8000_0000, out _).ShouldBeFalse();
        machine.State->FaultErrorCode.ShouldBe(0x19U);
    }

    /// <summary>The rules of 4.6.1, and the error code of 4.7 when they refuse; null when they allow.</summary>
    private static uint? Expected(Setting s, Access access)
    {
        bool userMode = access is Access.UserRead or Access.UserWrite or Access.UserFetch;
        bool write = access is Access.UserWrite or Access.SupervisorWrite or Access.ImplicitWrite;
        bool fetch = access is Access.UserFetch or Access.SupervisorFetch;
        bool implicitAccess = access is Access.ImplicitRead or Access.ImplicitWrite;
        bool userAddress = s.UpperUser && s.LowerUser;
        bool writableEverywhere = s.UpperWritable && s.LowerWritable;
        bool executable = !s.UpperNoExecute && !s.LowerNoExecute;
        bool allowed;
        if (userMode)
        {
            allowed = userAddress && (!write || writableEverywhere) && (!fetch || executable);
        }
        else if (fetch)
        {
            allowed = userAddress ? !s.Smep && executable : executable;
        }
        else
        {
            bool smapAllows = !userAddress || !s.Smap || (s.Ac && !implicitAccess);
            allowed = smapAllows && (!write || !s.Wp || writableEverywhere);
        }

        if (allowed) return null;
        bool reportsFetch = fetch && (s.Smep || s.Mode != PagingMode.Narrow);
        return 1U | (write ? 2U : 0) | (userMode ? 4U : 0) | (reportsFetch ? 16U : 0);
    }

    private static void Build(TestMachine machine, Setting setting)
    {
        VcpuState* s = machine.State;
        ulong upper = Present | (setting.UpperWritable ? Writable : 0) | (setting.UpperUser ? User : 0) | (setting.UpperNoExecute ? NoExecute : 0);
        ulong lower = Present | (setting.LowerWritable ? Writable : 0) | (setting.LowerUser ? User : 0) | (setting.LowerNoExecute ? NoExecute : 0);
        const uint Top = TestMachine.PageTables;
        if (setting.Mode == PagingMode.Narrow)
        {
            machine.Write32(Top + ((Linear >> 22) * 4), (Top + 0x1000) | (uint)upper);
            machine.Write32(Top + 0x1000, Page | (uint)lower);
        }
        else
        {
            machine.Write64(Top, (Top + 0x1000) | Present | Writable | User);
            machine.Write64(Top + 0x1000, (Top + 0x2000) | Present | Writable | User);
            machine.Write64(Top + 0x2000 + ((Linear >> 21) * 8), (Top + 0x3000) | upper);
            machine.Write64(Top + 0x3000, Page | lower);
        }

        s->Cr3 = Top;
        s->Pdpte[0] = (Top + 0x2000) | Present;
        s->Cr0 = Cr0.Pe | Cr0.Pg | Cr0.Et | (setting.Wp ? Cr0.Wp : 0);
        s->Cr4 = (setting.Mode == PagingMode.Narrow ? 0 : Cr4.Pae) | (setting.Smep ? Cr4.Smep : 0) | (setting.Smap ? Cr4.Smap : 0);
        s->Efer = setting.Mode == PagingMode.FourLevel ? Efer.Lme | Efer.Lma | Efer.Nxe : setting.Mode == PagingMode.Pae ? Efer.Nxe : 0;
        s->SystemFlags = RflagsBits.AlwaysOne | (setting.Ac ? RflagsBits.Ac : 0);
        machine.Processor.Mmu.Flush();
        machine.Processor.RefreshMode();
    }

    private static uint? Try(TestMachine machine, Access access)
    {
        Processor processor = machine.Processor;
        processor.State->FaultPending = 0;
        processor.State->Cpl = (byte)(access is Access.UserFetch ? 3 : 0);
        bool ok = access switch
        {
            Access.UserRead => processor.Mmu.TryRead(Linear, Privilege.User, out uint _),
            Access.UserWrite => processor.Mmu.TryWrite(Linear, Privilege.User, 1U),
            Access.SupervisorRead => processor.Mmu.TryRead(Linear, Privilege.Supervisor, out uint _),
            Access.SupervisorWrite => processor.Mmu.TryWrite(Linear, Privilege.Supervisor, 1U),
            Access.ImplicitRead => processor.Mmu.TryRead(Linear, Privilege.Implicit, out uint _),
            Access.ImplicitWrite => processor.Mmu.TryWrite(Linear, Privilege.Implicit, 1U),
            _ => processor.Mmu.TryTranslateFetch(Linear, out _),
        };
        return ok ? null : processor.State->FaultErrorCode;
    }

    /// <summary>One combination: a bit each, clear meaning the right is given.</summary>
    private readonly record struct Setting(PagingMode Mode, int Bits)
    {
        public bool UpperUser => (Bits & 1) == 0;

        public bool LowerUser => (Bits & 2) == 0;

        public bool UpperWritable => (Bits & 4) == 0;

        public bool LowerWritable => (Bits & 8) == 0;

        public bool UpperNoExecute => (Bits & 16) != 0;

        public bool LowerNoExecute => (Bits & 32) != 0;

        public bool Wp => (Bits & 64) != 0;

        public bool Smep => (Bits & 128) != 0;

        public bool Smap => (Bits & 256) != 0;

        public bool Ac => (Bits & 512) != 0;
    }
}
