using Ringfence.Devices;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices;

public class DmaController8237Tests
{
    private readonly FakeGuestMemory _memory = new(1 << 18);
    private readonly DmaController8237 _dma;

    public DmaController8237Tests() => _dma = new DmaController8237(_memory);

    [Fact]
    public void Addresses_and_counts_pass_through_a_flip_flop()
    {
        _dma.First.Write8(12, 0);
        _dma.First.Write8(4, 0x34);
        _dma.First.Write8(4, 0x12);
        _dma.First.Read8(4).ShouldBe((byte)0x34);
        _dma.First.Read8(4).ShouldBe((byte)0x12);
        _dma.First.Read8(4).ShouldBe((byte)0x34);
        _dma.First.Write8(12, 0);
        _dma.First.Read8(4).ShouldBe((byte)0x34);
    }

    [Fact]
    public void A_channel_counts_to_terminal_count_and_is_masked_then()
    {
        SetUp(0x45, 0x1_0100, 3);
        _dma.Transfer(1, [1, 2, 3, 4, 5, 6], toMemory: true, out bool end).ShouldBe(4);
        end.ShouldBeTrue();
        _memory.Data[0x1_0100..0x1_0106].ShouldBe([1, 2, 3, 4, 0, 0]);
        _dma.First.Read8(8).ShouldBe((byte)2);
        _dma.First.Read8(8).ShouldBe((byte)0);
        _dma.Transfer(1, [1], toMemory: true, out _).ShouldBe(0);
    }

    [Fact]
    public void With_automatic_initialization_it_begins_again()
    {
        SetUp(0x55, 0x1_0100, 1);
        _dma.Transfer(1, [1, 2], toMemory: true, out bool end).ShouldBe(2);
        end.ShouldBeTrue();
        _dma.Transfer(1, [3], toMemory: true, out end).ShouldBe(1);
        end.ShouldBeFalse();
        _memory.Data[0x1_0100..0x1_0102].ShouldBe([3, 2]);
    }

    [Fact]
    public void The_address_wraps_within_its_page()
    {
        SetUp(0x45, 0x1_fffe, 3);
        _dma.Transfer(1, [1, 2, 3, 4], toMemory: true, out _).ShouldBe(4);
        _memory.Data[0x1_fffe..0x2_0000].ShouldBe([1, 2]);
        _memory.Data[0x1_0000..0x1_0002].ShouldBe([3, 4]);
    }

    [Fact]
    public void It_can_count_down()
    {
        SetUp(0x65, 0x1_0003, 3);
        _dma.Transfer(1, [1, 2, 3, 4], toMemory: true, out _).ShouldBe(4);
        _memory.Data[0x1_0000..0x1_0004].ShouldBe([4, 3, 2, 1]);
    }

    [Fact]
    public void Verify_and_the_wrong_direction_count_without_moving()
    {
        SetUp(0x41, 0x1_0000, 1);
        _dma.Transfer(1, [1, 2], toMemory: true, out bool end).ShouldBe(2);
        end.ShouldBeTrue();
        _memory.Data[0x1_0000].ShouldBe((byte)0);
    }

    [Fact]
    public void The_second_controller_moves_words()
    {
        // Channel 5: page register 8Bh, address and count in words.
        _dma.Second.Write8(11 * 2, 0x45);
        _dma.Second.Write8(2 * 2, 0x80);
        _dma.Second.Write8(2 * 2, 0x00);
        _dma.Second.Write8(3 * 2, 0x01);
        _dma.Second.Write8(3 * 2, 0x00);
        _dma.Pages.Write8(0x0b - 1, 0x03);
        _dma.Second.Write8(10 * 2, 1);
        _dma.Transfer(5, [1, 2, 3, 4, 5, 6], toMemory: true, out bool end).ShouldBe(4);
        end.ShouldBeTrue();
        _memory.Data[0x2_0100..0x2_0106].ShouldBe([1, 2, 3, 4, 0, 0]);
    }

    [Fact]
    public void Page_registers_hold_what_is_written()
    {
        for (int i = 0; i < 15; i++) _dma.Pages.Write8((ulong)i, i + 1);
        for (int i = 0; i < 15; i++) _dma.Pages.Read8((ulong)i).ShouldBe((byte)(i + 1));
    }

    private void SetUp(int mode, int address, int count)
    {
        _dma.First.Write8(12, 0);
        _dma.First.Write8(11, mode);
        _dma.First.Write8(2, address);
        _dma.First.Write8(2, address >> 8);
        _dma.First.Write8(3, count);
        _dma.First.Write8(3, count >> 8);
        _dma.Pages.Write8(2, address >> 16);
        _dma.First.Write8(10, 1);
    }
}
