using Ringfence.Devices;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices;

public class IoApicTests
{
    private const ulong ToOne = 1UL << 56;
    private readonly ApicFixture _f = new(2);

    [Fact]
    public void The_version_says_24_pins_and_all_are_masked()
    {
        _f.ReadIo(1).ShouldBe(0x0017_0020u);
        _f.ReadIo(0x10).ShouldBe(0x1_0000u);
        _f.ReadIo(0x3e).ShouldBe(0x1_0000u);
        _f.ReadIo(0x40).ShouldBe(0u);
    }

    [Fact]
    public void An_edge_sends_one_message_to_its_destination()
    {
        _f.Redirect(4, ToOne | 0x34);
        InterruptLine line = _f.Io.Input(4);
        line.Set(true);
        _f[0].InterruptPending.ShouldBeFalse();
        _f[1].AcknowledgeInterrupt().ShouldBe(0x34);
        _f[1].Write32(ApicFixture.EndOfInterrupt, 0);
        _f[1].InterruptPending.ShouldBeFalse();
        line.Set(false);
        line.Set(true);
        _f[1].AcknowledgeInterrupt().ShouldBe(0x34);
    }

    [Fact]
    public void An_edge_on_a_masked_pin_is_lost()
    {
        _f.Io.Input(4).Pulse();
        _f.Redirect(4, 0x34);
        _f[0].InterruptPending.ShouldBeFalse();
    }

    [Fact]
    public void A_level_is_sent_again_after_the_end_of_interrupt_while_it_is_high()
    {
        InterruptLine line = _f.Io.Input(9);
        line.Set(true);
        _f.Redirect(9, 0x8039);
        _f[0].AcknowledgeInterrupt().ShouldBe(0x39);
        (_f.ReadIo(0x10 + 18) & 0x4000).ShouldBe(0x4000u);
        _f[0].Write32(ApicFixture.EndOfInterrupt, 0);
        _f[0].AcknowledgeInterrupt().ShouldBe(0x39);
        line.Set(false);
        _f[0].Write32(ApicFixture.EndOfInterrupt, 0);
        _f[0].InterruptPending.ShouldBeFalse();
        (_f.ReadIo(0x10 + 18) & 0x4000).ShouldBe(0u);
    }

    [Fact]
    public void The_eoi_register_ends_a_level_without_the_local_apic()
    {
        _f.Io.Input(9).Set(true);
        _f.Redirect(9, 0x8039);
        _f[0].AcknowledgeInterrupt();
        _f.Io.Write32(0x40, 0x39);
        (_f.ReadIo(0x10 + 18) & 0x4000).ShouldBe(0x4000u);
        _f[0].Write32(ApicFixture.EndOfInterrupt, 0);
        _f[0].AcknowledgeInterrupt().ShouldBe(0x39);
    }

    [Fact]
    public void Remote_irr_cannot_be_written_but_falls_when_the_pin_becomes_edge_triggered()
    {
        _f.Redirect(9, 0x1_d039);
        _f.ReadIo(0x10 + 18).ShouldBe(0x1_8039u);
        _f.Io.Input(9).Set(true);
        _f.Redirect(9, 0x8039);
        _f.Redirect(9, 0x1_0039);
        _f.ReadIo(0x10 + 18).ShouldBe(0x1_0039u);
    }

    [Fact]
    public void A_level_nobody_accepts_is_not_in_flight()
    {
        _f.Io.Input(9).Set(true);
        _f.Redirect(9, (7UL << 56) | 0x8039);
        (_f.ReadIo(0x10 + 18) & 0x4000).ShouldBe(0u);
        _f.Redirect(9, 0x8039);
        _f[0].AcknowledgeInterrupt().ShouldBe(0x39);
    }

    [Fact]
    public void An_extint_pin_takes_its_vector_from_the_8259s()
    {
        _f[0].AcknowledgeExternal = () => 0x20;
        _f.Redirect(0, 0x700);
        _f.Io.Input(0).Pulse();
        _f[0].InterruptPending.ShouldBeTrue();
        _f[0].AcknowledgeInterrupt().ShouldBe(0x20);
        _f[0].InterruptPending.ShouldBeFalse();
    }

    [Fact]
    public void An_nmi_pin_sends_nmi()
    {
        _f.Redirect(3, ToOne | 0x400);
        _f.Io.Input(3).Pulse();
        _f.Log.ShouldBe(["nmi 1"]);
    }

    [Fact]
    public void A_message_signaled_interrupt_needs_no_pin()
    {
        _f.Bus.DeliverMessageSignaled(0xfee0_1000, 0x0045).ShouldBeTrue();
        _f[1].AcknowledgeInterrupt().ShouldBe(0x45);
    }
}
