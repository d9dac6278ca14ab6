using System.Text;
using Ringfence.Devices.Virtio;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices.Virtio;

public sealed class VirtioConsoleTests
{
    private const ulong Transmit = VirtioGuest.QueueStride;
    private const int Data = 0x9000;
    private const ulong EventIndex = 1UL << 29;
    private const ulong HasSize = 1;
    private const ulong Version1 = 1UL << 32;

    private readonly List<byte> _output = [];
    private readonly Queue<byte> _input = [];
    private readonly FakeClock _clock = new();
    private readonly VirtioConsole _console;
    private readonly VirtioGuest _guest;

    public VirtioConsoleTests()
    {
        _console = new VirtioConsole("console0", _clock, data => _output.AddRange(data), () => _input.Count, Take);
        _guest = new VirtioGuest(_console);
    }

    private string Output => Encoding.ASCII.GetString([.. _output]);

    [Fact]
    public void It_is_a_console_with_a_pair_of_queues_and_a_size()
    {
        (_guest.Function.Read(0, 4), _guest.Function.Read(8, 4) >> 8).ShouldBe((0x1043_1af4U, 0x07_8000U));
        (_guest.Read(0x04, 4) & 0xff).ShouldBe(HasSize);
        _guest.Read(0x12, 2).ShouldBe(2UL);
    }

    [Fact]
    public void What_the_guest_sends_comes_out_in_order_whatever_pieces_it_is_in()
    {
        _guest.Start();
        Send("first, ");
        string text = string.Concat(Enumerable.Range(0, 2000).Select(i => $"{i} "));
        Encoding.ASCII.GetBytes(text).CopyTo(_guest.Memory.Data, Data);
        _guest.Describe(0, Data, 5000, writable: false, next: 1, table: Transmit + VirtioGuest.Descriptors);
        _guest.Describe(1, Data + 5000, text.Length - 5000, writable: false, table: Transmit + VirtioGuest.Descriptors);
        _guest.Offer(0, queue: 1);
        Output.ShouldBe($"first, {text}");
        _guest.UsedIndexOf(1).ShouldBe((ushort)2);
        _console.MisuseCount.ShouldBe(0UL);
    }

    [Fact]
    public void Input_waits_until_the_guest_has_printed_something_and_provides_buffers()
    {
        _guest.Start();
        Type("typed early");
        Provide(0, 6);
        _guest.UsedIndex.ShouldBe((ushort)0);
        Send("> ");
        (_guest.UsedIndex, Received(0, 6)).ShouldBe(((ushort)1, "typed "));
        Provide(1, 16);
        (_guest.UsedIndex, Received(1, 5)).ShouldBe(((ushort)2, "early"));
        _guest.Read32(VirtioGuest.Used + 4 + 8 + 4).ShouldBe(5U);
        Provide(2, 16);
        _guest.UsedIndex.ShouldBe((ushort)2);
        Type("later");
        Received(2, 5).ShouldBe("later");
    }

    [Fact]
    public void Output_interrupts_late_and_only_drivers_that_have_not_seen_its_end()
    {
        _guest.Start(Version1 | EventIndex).ShouldBeTrue();
        Send("first");
        Send("second");
        _guest.Pin.ShouldBeFalse();
        _clock.Advance(VirtioConsole.InterruptDelay);
        (_guest.Pin, _guest.Read(0x1000, 1)).ShouldBe((true, 1UL));
        // The driver has seen three when the time has come.
        Send("third");
        _guest.Write16(Transmit + VirtioGuest.Available + 4 + (2 * VirtioGuest.Entries), 3);
        _clock.Advance(VirtioConsole.InterruptDelay);
        _guest.Pin.ShouldBeFalse();
        Send("fourth");
        _clock.Advance(VirtioConsole.InterruptDelay);
        _guest.Pin.ShouldBeTrue();
    }

    [Fact]
    public void Input_waits_again_after_a_reset()
    {
        _guest.Start();
        Send("> ");
        _guest.Start();
        Type("x");
        Provide(0, 16);
        _guest.UsedIndex.ShouldBe((ushort)0);
    }

    [Fact]
    public void A_new_size_is_told_with_an_interrupt()
    {
        _console.Resize(80, 25);
        _guest.Start(Version1 | HasSize).ShouldBeTrue();
        (_guest.Read(0x2000, 2), _guest.Read(0x2002, 2)).ShouldBe((80UL, 25UL));
        Send("> ");
        _guest.Read(0x1000, 1).ShouldBe(2UL, "a driver learns of the size that was there before it");
        ulong generation = _guest.Read(0x15, 1);
        _console.Resize(132, 43);
        _guest.Pin.ShouldBeTrue();
        _guest.Read(0x1000, 1).ShouldBe(2UL);
        _guest.Read(0x2000, 4).ShouldBe(132UL | (43UL << 16));
        _guest.Read(0x15, 1).ShouldNotBe(generation);
        _console.Resize(132, 43);
        _guest.Pin.ShouldBeFalse();
    }

    [Fact]
    public void Buffers_that_make_no_sense_are_counted_and_given_back()
    {
        _guest.Start();
        _guest.Describe(0, Data, 16, writable: true, table: Transmit + VirtioGuest.Descriptors);
        _guest.Offer(0, queue: 1);
        _console.MisuseCount.ShouldBe(1UL);
        _guest.Describe(0, 0, int.MaxValue, writable: false, table: Transmit + VirtioGuest.Descriptors);
        _guest.Offer(0, queue: 1);
        (_console.MisuseCount, _output.Count).ShouldBe((2UL, VirtioConsole.MostChainBytes));
        _guest.UsedIndexOf(1).ShouldBe((ushort)2);
        Type("x");
        _guest.Describe(0, Data, 16, writable: false);
        _guest.Offer(0);
        (_console.MisuseCount, _guest.UsedIndex, _input.Count).ShouldBe((3UL, (ushort)1, 1));
    }

    [Fact]
    public void The_state_says_whether_input_may_come()
    {
        _guest.Start();
        Send("> ");
        VirtioConsole other = new("console0", _clock, data => { }, () => _input.Count, Take);
        VirtioGuest copy = new(other);
        _guest.Memory.Data.CopyTo(copy.Memory.Data, 0);
        StateRecorder.Restore(copy.Function, StateRecorder.Save(_guest.Function));
        _input.Enqueue((byte)'x');
        copy.Describe(0, Data, 16, writable: true);
        copy.Offer(0);
        copy.UsedIndex.ShouldBe((ushort)1);
    }

    [Fact]
    public void Random_drivers_find_no_way_to_crash_or_hang_it()
    {
        Random random = new(20261122);
        for (int program = 0; program < 2000; program++)
        {
            FakeClock clock = new();
            VirtioConsole console = new("console0", clock, data => { }, () => _input.Count, Take);
            VirtioGuest guest = new(console);
            if (random.Next(4) != 0) guest.Start(Version1 | HasSize | (random.Next(2) == 0 ? EventIndex : 0));
            for (int queue = 0; queue < 2; queue++) random.NextBytes(guest.Memory.Data.AsSpan(0x1000 + (queue * (int)VirtioGuest.QueueStride), 0x3000));
            for (int step = 0; step < 30; step++)
            {
                switch (random.Next(8))
                {
                    case 0:
                        for (int i = random.Next(5000); i > 0; i--) _input.Enqueue((byte)i);
                        console.Offer();
                        break;
                    case 1:
                        clock.Advance(random.NextInt64(2 * VirtioConsole.InterruptDelay));
                        break;
                    case 2:
                        console.Resize((ushort)random.Next(), (ushort)random.Next());
                        break;
                    default:
                        guest.TakeRandomStep(random);
                        break;
                }
            }

            _input.Clear();
        }
    }

    private int Take(Span<byte> data)
    {
        int count = 0;
        while (count < data.Length && _input.TryDequeue(out byte value)) data[count++] = value;
        return count;
    }

    private void Type(string text)
    {
        foreach (byte value in Encoding.ASCII.GetBytes(text)) _input.Enqueue(value);
        _console.Offer();
    }

    private void Send(string text)
    {
        Encoding.ASCII.GetBytes(text).CopyTo(_guest.Memory.Data, Data);
        _guest.Describe(7, Data, text.Length, writable: false, table: Transmit + VirtioGuest.Descriptors);
        _guest.Offer(7, queue: 1);
    }

    private void Provide(int index, int length)
    {
        _guest.Describe(index, (ulong)(Data + 0x1000 + (index * 0x100)), length, writable: true);
        _guest.Offer(index);
    }

    private string Received(int index, int length) => Encoding.ASCII.GetString(_guest.Memory.Data, Data + 0x1000 + (index * 0x100), length);
}
