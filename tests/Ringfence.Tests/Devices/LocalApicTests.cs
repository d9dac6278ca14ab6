using Ringfence.Devices;
using Ringfence.Tests.Support;
using static Ringfence.Tests.Devices.ApicFixture;

namespace Ringfence.Tests.Devices;

public class LocalApicTests
{
    [Fact]
    public void After_reset_the_apic_is_enabled_but_disabled_in_software_and_its_vector_table_masked()
    {
        ApicFixture f = new(1, enable: false);
        f[0].Read32(0x20).ShouldBe(0u);
        f[0].Read32(0x30).ShouldBe(0x0005_0014u);
        f[0].Read32(Spurious).ShouldBe(0xffu);
        f[0].Read32(TimerEntry).ShouldBe(0x1_0000u);
        f[0].Read32(DestinationFormat).ShouldBe(0xffff_ffffu);
        f[0].TryReadMsr(LocalApic.ApicBaseMsr, out ulong value).ShouldBeTrue();
        value.ShouldBe(0xfee0_0900ul);
        f[0].Write32(TimerEntry, 0x30);
        f[0].Read32(TimerEntry).ShouldBe(0x1_0030u);
    }

    [Fact]
    public void Higher_vectors_come_first_and_a_class_in_service_blocks_its_own()
    {
        ApicFixture f = new();
        f.Send(0, 0, 0x41);
        f.Send(0, 0, 0x52);
        f[0].AcknowledgeInterrupt().ShouldBe(0x52);
        f[0].InterruptPending.ShouldBeFalse();
        f.Send(0, 0, 0x5f);
        f[0].InterruptPending.ShouldBeFalse();
        f.Send(0, 0, 0x60);
        f[0].AcknowledgeInterrupt().ShouldBe(0x60);
        f[0].Read32(0xa0).ShouldBe(0x60u);
        f[0].Write32(EndOfInterrupt, 0);
        f[0].Write32(EndOfInterrupt, 0);
        f[0].AcknowledgeInterrupt().ShouldBe(0x5f);
        f[0].Write32(EndOfInterrupt, 0);
        f[0].AcknowledgeInterrupt().ShouldBe(0x41);
        f[0].Write32(EndOfInterrupt, 0);
        f[0].AcknowledgeInterrupt().ShouldBe(-1);
    }

    [Fact]
    public void The_task_priority_holds_back_its_class_and_below()
    {
        ApicFixture f = new();
        List<bool> changes = [];
        f[0].InterruptPendingChanged += changes.Add;
        f[0].TaskPriorityClass = 5;
        f[0].Read32(TaskPriority).ShouldBe(0x50u);
        f.Send(0, 0, 0x5f);
        changes.ShouldBeEmpty();
        f[0].TaskPriorityClass = 4;
        changes.ShouldBe([true]);
        f[0].AcknowledgeInterrupt().ShouldBe(0x5f);
        changes.ShouldBe([true, false]);
    }

    [Fact]
    public void A_physical_destination_is_one_processor_and_ff_is_all()
    {
        ApicFixture f = new(3);
        f.Send(0, 1, 0x40);
        Pending(f).ShouldBe([false, true, false]);
        f.Send(0, 0xff, 0x41);
        Pending(f).ShouldBe([true, true, true]);
    }

    [Fact]
    public void Shorthands_reach_self_all_and_others()
    {
        ApicFixture f = new(3);
        f.Send(1, 0, 0x4_0040);
        Pending(f).ShouldBe([false, true, false]);
        f[1].AcknowledgeInterrupt();
        f[1].Write32(EndOfInterrupt, 0);
        f.Send(1, 0, 0xc_0041);
        Pending(f).ShouldBe([true, false, true]);
        f.Send(1, 0, 0x8_0042);
        Pending(f).ShouldBe([true, true, true]);
    }

    [Fact]
    public void Logical_destinations_are_a_bit_each_in_the_flat_model()
    {
        ApicFixture f = new(3);
        for (int i = 0; i < 3; i++) f[i].Write32(LogicalDestination, 1u << (24 + i));
        f.Send(0, 0b101, 0x840);
        Pending(f).ShouldBe([true, false, true]);
    }

    [Fact]
    public void Logical_destinations_are_cluster_and_bit_in_the_cluster_model()
    {
        ApicFixture f = new(3);
        uint[] logical = [0x11, 0x12, 0x21];
        for (int i = 0; i < 3; i++)
        {
            f[i].Write32(DestinationFormat, 0);
            f[i].Write32(LogicalDestination, logical[i] << 24);
        }

        f.Send(0, 0x13, 0x840);
        Pending(f).ShouldBe([true, true, false]);
        f.Send(0, 0xf1, 0x841);
        Pending(f).ShouldBe([true, true, true]);
    }

    [Fact]
    public void Lowest_priority_goes_to_the_processor_with_the_lowest_priority()
    {
        ApicFixture f = new(3);
        for (int i = 0; i < 3; i++) f[i].Write32(LogicalDestination, 1u << (24 + i));
        f[0].TaskPriorityClass = 3;
        f[1].TaskPriorityClass = 1;
        f[2].TaskPriorityClass = 2;
        f.Send(0, 0b111, 0x940);
        Pending(f).ShouldBe([false, true, false]);
    }

    [Fact]
    public void Init_and_start_up_reach_the_processor_and_the_deassert_does_not()
    {
        ApicFixture f = new(2);
        f.Send(0, 1, 0xc500);
        f.Send(0, 1, 0x8500);
        f.Send(0, 1, 0x0608);
        f.Send(0, 1, 0x0400);
        f.Log.ShouldBe(["init 1", "sipi 1 08", "nmi 1"]);
        f[1].Read32(Spurious).ShouldBe(0xffu);
    }

    [Fact]
    public void Illegal_vectors_are_errors_that_interrupt_once()
    {
        ApicFixture f = new();
        f[0].Write32(ErrorEntry, 0xfe);
        f.Send(0, 0, 0x0005);
        f[0].InterruptPending.ShouldBeTrue();
        f[0].AcknowledgeInterrupt().ShouldBe(0xfe);
        f[0].Read32(Errors).ShouldBe(0u);
        f[0].Write32(Errors, 0);
        f[0].Read32(Errors).ShouldBe(0x20u);
        f[0].Read32(0x0);
        f[0].Write32(Errors, 0);
        f[0].Read32(Errors).ShouldBe(0x80u);
    }

    [Fact]
    public void A_software_disabled_apic_accepts_no_vectors_but_keeps_those_it_has()
    {
        ApicFixture f = new(2);
        f.Send(0, 1, 0x40);
        f[1].Write32(Spurious, 0xff);
        f.Send(0, 1, 0x50);
        f.Send(0, 1, 0x0400);
        f.Log.ShouldBe(["nmi 1"]);
        f[1].AcknowledgeInterrupt().ShouldBe(0x40);
        f[1].Write32(EndOfInterrupt, 0);
        f[1].InterruptPending.ShouldBeFalse();
    }

    [Fact]
    public void The_8259s_come_through_lint0_in_virtual_wire_mode()
    {
        ApicFixture f = new(1, enable: false);
        f[0].AcknowledgeExternal = () =>
        {
            f[0].Lint0.Set(false);
            return 0x20;
        };
        f[0].Lint0.Set(true);
        f[0].InterruptPending.ShouldBeFalse();
        f[0].EnterVirtualWireMode();
        f[0].InterruptPending.ShouldBeTrue();
        f[0].AcknowledgeInterrupt().ShouldBe(0x20);
        f[0].InterruptPending.ShouldBeFalse();
    }

    [Fact]
    public void With_the_apic_off_the_local_pins_are_intr_and_nmi()
    {
        ApicFixture f = new();
        f[0].AcknowledgeExternal = () => 0x21;
        f[0].TryWriteMsr(LocalApic.ApicBaseMsr, 0xfee0_0100).ShouldBeTrue();
        f[0].Lint0.Set(true);
        f[0].InterruptPending.ShouldBeTrue();
        f[0].AcknowledgeInterrupt().ShouldBe(0x21);
        f[0].Lint1.Pulse();
        f.Log.ShouldBe(["nmi 0"]);
        f[0].Read32(0x30).ShouldBe(0xffff_ffffu);
    }

    [Fact]
    public void A_level_triggered_lint0_interrupts_again_after_its_end()
    {
        ApicFixture f = new();
        f[0].Write32(Lint0, 0x8045);
        f[0].Lint0.Set(true);
        f[0].AcknowledgeInterrupt().ShouldBe(0x45);
        f[0].Read32(Lint0).ShouldBe(0xc045u);
        f[0].Write32(EndOfInterrupt, 0);
        f[0].AcknowledgeInterrupt().ShouldBe(0x45);
        f[0].Lint0.Set(false);
        f[0].Write32(EndOfInterrupt, 0);
        f[0].InterruptPending.ShouldBeFalse();
    }

    [Fact]
    public void A_one_shot_timer_interrupts_once_and_its_count_ends_at_zero()
    {
        ApicFixture f = new();
        f[0].Write32(Divide, 0x3);
        f[0].Write32(TimerEntry, 0x30);
        f[0].Write32(InitialCount, 1000);
        f.Clock.Advance(8000);
        f[0].Read32(CurrentCount).ShouldBe(500u);
        f[0].InterruptPending.ShouldBeFalse();
        f.Clock.Advance(8000);
        f[0].AcknowledgeInterrupt().ShouldBe(0x30);
        f[0].Read32(CurrentCount).ShouldBe(0u);
        f.Clock.Armed.ShouldBe(0);
    }

    [Theory]
    [InlineData(InitialCount, 10_000)]
    [InlineData(TimerEntry, 0x30)]
    [InlineData(Divide, 0xb)]
    public void A_one_shot_timer_that_ends_while_a_register_is_written_interrupts_all_the_same(ulong register, uint value)
    {
        ApicFixture f = new();
        f[0].Write32(Divide, 0xb);
        f[0].Write32(TimerEntry, 0x30);
        f[0].Write32(InitialCount, 10_000);
        f.Clock.Advance(5_000);
        f.Clock.PassesWhenRead = 12_000;
        f[0].Write32(register, value);
        f.Clock.PassesWhenRead = 0;
        f.Clock.Advance(0);
        f[0].AcknowledgeInterrupt().ShouldBe(0x30);
        f[0].Write32(EndOfInterrupt, 0);
        f.Clock.Advance(50_000);
        f[0].InterruptPending.ShouldBeFalse();
    }

    [Fact]
    public void A_periodic_timer_interrupts_every_period_and_coalesces_late_ticks()
    {
        ApicFixture f = new();
        f[0].Write32(Divide, 0xb);
        f[0].Write32(TimerEntry, 0x2_0030);
        f[0].Write32(InitialCount, 10_000);
        Count(f, 100, 10_000).ShouldBe(100);
        f.Clock.Jump(1_000_000);
        f[0].AcknowledgeInterrupt().ShouldBe(0x30);
        f[0].Write32(EndOfInterrupt, 0);
        f[0].AcknowledgeInterrupt().ShouldBe(-1);
        Count(f, 10, 10_000).ShouldBe(10);
    }

    [Fact]
    public void The_shortest_period_does_not_drown_the_host()
    {
        ApicFixture f = new();
        f[0].Write32(Divide, 0xb);
        f[0].Write32(TimerEntry, 0x2_0030);
        f[0].Write32(InitialCount, 1);
        f.Clock.Advance(1_000_000);
        f.Clock.Fired.ShouldBeLessThanOrEqualTo(1000);
    }

    [Fact]
    public void A_masked_timer_counts_without_a_host_timer()
    {
        ApicFixture f = new();
        f[0].Write32(Divide, 0xb);
        f[0].Write32(TimerEntry, 0x1_0030);
        f[0].Write32(InitialCount, 0xffff_ffff);
        f.Clock.Armed.ShouldBe(0);
        f.Clock.Advance(1_000_000);
        f[0].Read32(CurrentCount).ShouldBe(0xffff_ffff - 1_000_000u);
    }

    [Fact]
    public void A_deadline_interrupts_when_the_counter_reaches_it_and_then_reads_zero()
    {
        ApicFixture f = new();
        f[0].TryWriteMsr(LocalApic.TscDeadlineMsr, 5).ShouldBeTrue();
        f[0].Write32(TimerEntry, 0x4_0030);
        f[0].TryReadMsr(LocalApic.TscDeadlineMsr, out ulong value);
        value.ShouldBe(0ul);
        f[0].TryWriteMsr(LocalApic.TscDeadlineMsr, 20_000);
        f.Clock.Advance(9_999);
        f[0].InterruptPending.ShouldBeFalse();
        f.Clock.Advance(1);
        f[0].AcknowledgeInterrupt().ShouldBe(0x30);
        f[0].TryReadMsr(LocalApic.TscDeadlineMsr, out value);
        value.ShouldBe(0ul);
        f[0].Write32(EndOfInterrupt, 0);
        f[0].TryWriteMsr(LocalApic.TscDeadlineMsr, 1);
        f.Clock.Advance(0);
        f[0].InterruptPending.ShouldBeTrue();
        f[0].TryWriteMsr(LocalApic.TscDeadlineMsr, ulong.MaxValue);
        f.Clock.Armed.ShouldBe(0);
    }

    [Fact]
    public void Modes_change_only_along_the_manuals_arrows()
    {
        ApicFixture f = new();
        f[0].TryWriteMsr(0x1b, 0xfee0_0500).ShouldBeFalse();
        f[0].TryWriteMsr(0x1b, 0xfee0_0d01).ShouldBeFalse();
        f[0].TryWriteMsr(0x1b, 1UL << 45 | 0x800).ShouldBeFalse();
        f[0].TryWriteMsr(0x1b, 0xfee0_0d00).ShouldBeTrue();
        f[0].TryWriteMsr(0x1b, 0xfee0_0900).ShouldBeFalse();
        f[0].TryWriteMsr(0x1b, 0xfee0_0100).ShouldBeTrue();
        f[0].TryWriteMsr(0x1b, 0xfee0_0d00).ShouldBeFalse();
        f[0].TryWriteMsr(0x1b, 0xfee0_0900).ShouldBeTrue();
        f[0].Read32(Spurious).ShouldBe(0xffu);
    }

    [Fact]
    public void X2apic_registers_are_msrs_with_wide_ids_and_strict_bits()
    {
        ApicFixture f = new(2);
        f[1].TryReadMsr(0x802, out _).ShouldBeFalse();
        f[0].TryWriteMsr(0x1b, 0xfee0_0d00).ShouldBeTrue();
        f[1].TryWriteMsr(0x1b, 0xfee0_0c00).ShouldBeTrue();
        f[1].TryReadMsr(0x802, out ulong id).ShouldBeTrue();
        id.ShouldBe(1ul);
        f[1].TryReadMsr(0x80d, out ulong logical).ShouldBeTrue();
        logical.ShouldBe(2ul);
        f[0].TryWriteMsr(0x830, (1UL << 32) | 0x40).ShouldBeTrue();
        f[1].AcknowledgeInterrupt().ShouldBe(0x40);
        f[1].TryWriteMsr(0x80b, 1).ShouldBeFalse();
        f[1].TryWriteMsr(0x80b, 0).ShouldBeTrue();
        f[0].TryWriteMsr(0x830, (2UL << 32) | 0x841).ShouldBeTrue();
        f[1].AcknowledgeInterrupt().ShouldBe(0x41);
        f[1].TryWriteMsr(0x83f, 0x52).ShouldBeTrue();
        f[1].AcknowledgeInterrupt().ShouldBe(0x52);
        f[1].TryReadMsr(0x83f, out _).ShouldBeFalse();
        f[1].TryReadMsr(0x80e, out _).ShouldBeFalse();
        f[1].TryReadMsr(0x831, out _).ShouldBeFalse();
        f[1].TryWriteMsr(0x802, 0).ShouldBeFalse();
        f[1].TryWriteMsr(0x808, 0x100).ShouldBeFalse();
        f[1].Read32(0x20).ShouldBe(0xffff_ffffu);
    }

    [Fact]
    public void Registers_are_32_bits_at_multiples_of_16_bytes()
    {
        ApicFixture f = new();
        f[0].Read8(0x31).ShouldBe((byte)0x00);
        f[0].Read8(0x30).ShouldBe((byte)0x14);
        f[0].Read32(0x34).ShouldBe(0u);
        f[0].Write8(TaskPriority, 0x50);
        f[0].Read32(TaskPriority).ShouldBe(0u);
        f[0].MisuseCount.ShouldBe(1ul);
    }

    [Fact]
    public void A_restored_apic_goes_on_where_the_saved_one_was()
    {
        ApicFixture f = new();
        f[0].Write32(Divide, 0xb);
        f[0].Write32(TimerEntry, 0x30);
        f[0].Write32(InitialCount, 5000);
        f.Send(0, 0, 0x41);
        LocalApic other = new(0, f.Clock, new ApicBus(), () => 0, TimestampFrequency);
        StateRecorder.Restore(other, StateRecorder.Save(f[0]));
        other.AcknowledgeInterrupt().ShouldBe(0x41);
        other.Write32(EndOfInterrupt, 0);
        f.Clock.Advance(5000);
        other.AcknowledgeInterrupt().ShouldBe(0x30);
    }

    private static bool[] Pending(ApicFixture f) => [.. f.Bus.LocalApics.Select(apic => apic.InterruptPending)];

    private static int Count(ApicFixture f, int steps, long step)
    {
        int count = 0;
        for (int i = 0; i < steps; i++)
        {
            f.Clock.Advance(step);
            while (f[0].AcknowledgeInterrupt() >= 0)
            {
                count++;
                f[0].Write32(EndOfInterrupt, 0);
            }
        }

        return count;
    }
}
