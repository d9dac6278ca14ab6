using Ringfence.Devices;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices;

public class DualPicTests
{
    private readonly List<bool> _output = [];
    private readonly DualPic _pic;

    public DualPicTests()
    {
        _pic = new DualPic(new InterruptLine(_output.Add));
        Initialize(0x01);
    }

    [Fact]
    public void An_edge_on_an_unmasked_input_raises_the_output_and_gives_its_vector()
    {
        _pic.Input(4).Pulse();
        _pic.Output.Level.ShouldBeTrue();
        _pic.Acknowledge().ShouldBe(0x24);
        _pic.Output.Level.ShouldBeFalse();
    }

    [Fact]
    public void An_input_of_the_slave_comes_through_the_cascade_with_the_slaves_vector()
    {
        _pic.Input(12).Pulse();
        _pic.Acknowledge().ShouldBe(0x2c);
        ReadInService(_pic.Master).ShouldBe((byte)0x04);
        ReadInService(_pic.Slave).ShouldBe((byte)0x10);
    }

    [Fact]
    public void A_masked_input_waits_for_its_mask_to_be_cleared()
    {
        _pic.Master.Write8(1, 0xff);
        _pic.Input(4).Pulse();
        _pic.Output.Level.ShouldBeFalse();
        _pic.Master.Write8(1, 0xef);
        _pic.Output.Level.ShouldBeTrue();
    }

    [Fact]
    public void A_lower_priority_waits_for_the_end_of_interrupt_and_a_higher_one_does_not()
    {
        _pic.Input(4).Pulse();
        _pic.Acknowledge();
        _pic.Input(5).Pulse();
        _pic.Output.Level.ShouldBeFalse();
        _pic.Input(1).Pulse();
        _pic.Output.Level.ShouldBeTrue();
        _pic.Acknowledge().ShouldBe(0x21);
        _pic.Master.Write8(0, 0x20);
        _pic.Output.Level.ShouldBeFalse();
        _pic.Master.Write8(0, 0x20);
        _pic.Acknowledge().ShouldBe(0x25);
    }

    [Fact]
    public void Two_interrupts_of_the_slave_are_two_edges_for_the_master()
    {
        _pic.Input(9).Pulse();
        _pic.Input(10).Pulse();
        _pic.Acknowledge().ShouldBe(0x29);
        _pic.Slave.Write8(0, 0x20);
        _pic.Master.Write8(0, 0x20);
        _pic.Acknowledge().ShouldBe(0x2a);
    }

    [Fact]
    public void A_request_masked_before_the_acknowledge_gives_the_spurious_vector_and_nothing_in_service()
    {
        _pic.Input(4).Pulse();
        _pic.Master.Write8(1, 0xff);
        _pic.Acknowledge().ShouldBe(0x27);
        ReadInService(_pic.Master).ShouldBe((byte)0);
        _pic.SpuriousCount.ShouldBe(1ul);
    }

    [Fact]
    public void A_level_that_goes_away_takes_the_slaves_request_back_from_the_master()
    {
        _pic.EdgeLevelControl.Write8(1, 0x02);
        InterruptLine line = _pic.Input(9);
        line.Set(true);
        _pic.Output.Level.ShouldBeTrue();
        line.Set(false);
        _pic.Output.Level.ShouldBeFalse();
        _pic.Acknowledge().ShouldBe(0x27);
        ReadInService(_pic.Master).ShouldBe((byte)0);
    }

    [Fact]
    public void A_level_triggered_input_interrupts_again_while_it_is_high()
    {
        _pic.EdgeLevelControl.Write8(0, 0x20);
        InterruptLine line = _pic.Input(5);
        line.Set(true);
        _pic.Acknowledge().ShouldBe(0x25);
        _pic.Master.Write8(0, 0x20);
        _pic.Output.Level.ShouldBeTrue();
        _pic.Acknowledge().ShouldBe(0x25);
        line.Set(false);
        _pic.Master.Write8(0, 0x20);
        _pic.Output.Level.ShouldBeFalse();
    }

    [Fact]
    public void An_edge_triggered_input_needs_a_new_edge()
    {
        InterruptLine line = _pic.Input(5);
        line.Set(true);
        _pic.Acknowledge();
        _pic.Master.Write8(0, 0x20);
        _pic.Output.Level.ShouldBeFalse();
    }

    [Fact]
    public void Lines_of_one_input_are_ored()
    {
        _pic.EdgeLevelControl.Write8(1, 0x08);
        InterruptLine first = _pic.Input(11);
        InterruptLine second = _pic.Input(11);
        first.Set(true);
        second.Set(true);
        first.Set(false);
        _pic.Output.Level.ShouldBeTrue();
        second.Set(false);
        _pic.Output.Level.ShouldBeFalse();
    }

    [Fact]
    public void The_timer_keyboard_and_cascade_cannot_be_level_triggered()
    {
        _pic.EdgeLevelControl.Write16(0, 0xffff);
        _pic.EdgeLevelControl.Read16(0).ShouldBe((ushort)0xdef8);
    }

    [Fact]
    public void Rotation_makes_the_served_input_the_lowest_priority()
    {
        _pic.Input(3).Pulse();
        _pic.Acknowledge();
        _pic.Master.Write8(0, 0xa0);
        _pic.Input(3).Pulse();
        _pic.Input(6).Pulse();
        _pic.Acknowledge().ShouldBe(0x26);
    }

    [Fact]
    public void A_specific_end_of_interrupt_names_its_input()
    {
        _pic.Input(4).Pulse();
        _pic.Acknowledge();
        _pic.Input(1).Pulse();
        _pic.Acknowledge();
        _pic.Master.Write8(0, 0x64);
        ReadInService(_pic.Master).ShouldBe((byte)0x02);
    }

    [Fact]
    public void Special_mask_mode_lets_lower_priorities_through_a_masked_input_in_service()
    {
        _pic.Input(4).Pulse();
        _pic.Acknowledge();
        _pic.Master.Write8(1, 0x10);
        _pic.Input(6).Pulse();
        _pic.Output.Level.ShouldBeFalse();
        _pic.Master.Write8(0, 0x68);
        _pic.Output.Level.ShouldBeTrue();
        _pic.Acknowledge().ShouldBe(0x26);
    }

    [Fact]
    public void Automatic_end_of_interrupt_leaves_nothing_in_service()
    {
        Initialize(0x03);
        _pic.Input(4).Pulse();
        _pic.Acknowledge().ShouldBe(0x24);
        ReadInService(_pic.Master).ShouldBe((byte)0);
    }

    [Fact]
    public void A_poll_acknowledges_and_gives_the_number()
    {
        _pic.Input(4).Pulse();
        _pic.Master.Write8(0, 0x0c);
        _pic.Master.Read8(0).ShouldBe((byte)0x84);
        ReadInService(_pic.Master).ShouldBe((byte)0x10);
        _pic.Master.Write8(0, 0x0c);
        _pic.Master.Read8(0).ShouldBe((byte)0);
    }

    [Fact]
    public void Initialization_clears_mask_and_requests()
    {
        _pic.Master.Write8(1, 0xff);
        _pic.Input(4).Pulse();
        Initialize(0x01);
        _pic.Master.Read8(1).ShouldBe((byte)0);
        _pic.Output.Level.ShouldBeFalse();
    }

    [Fact]
    public void A_restored_pair_goes_on_where_the_saved_one_was()
    {
        _pic.Input(4).Pulse();
        _pic.Acknowledge();
        _pic.Input(12).Pulse();
        DualPic other = new(new InterruptLine(_ => { }));
        StateRecorder.Restore(other, StateRecorder.Save(_pic));
        other.Output.Level.ShouldBe(_pic.Output.Level);
        other.Acknowledge().ShouldBe(0x2c);
    }

    private static byte ReadInService(IBusDevice chip)
    {
        chip.Write8(0, 0x0b);
        return chip.Read8(0);
    }

    private void Initialize(int icw4)
    {
        _pic.Master.Write8(0, 0x11);
        _pic.Master.Write8(1, 0x20);
        _pic.Master.Write8(1, 0x04);
        _pic.Master.Write8(1, icw4);
        _pic.Slave.Write8(0, 0x11);
        _pic.Slave.Write8(1, 0x28);
        _pic.Slave.Write8(1, 0x02);
        _pic.Slave.Write8(1, icw4);
    }
}
