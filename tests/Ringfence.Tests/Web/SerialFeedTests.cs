using System.Text;
using Ringfence.Machines;
using Ringfence.Tests.Machines;
using Ringfence.Web;

namespace Ringfence.Tests.Web;

public sealed class SerialFeedTests
{
    private readonly SerialConsole _console = new("COM1", 1 << 20);

    [Fact]
    public void Each_reader_has_a_place_of_its_own()
    {
        using SerialFeed feed = new(_console);
        Print("abcdef");
        long first = feed.History.Beginning;
        Read(feed, ref first, 4).ShouldBe("abcd");
        long second = feed.History.Beginning;
        Read(feed, ref second, 100).ShouldBe("abcdef");
        Read(feed, ref first, 100).ShouldBe("ef");
        Read(feed, ref first, 100).ShouldBe("");
    }

    [Fact]
    public void Output_of_before_and_after_meets_without_a_gap_or_an_overlap()
    {
        using ManualResetEventSlim goOn = new();
        // Another handler is busy with the first byte while the feed comes: the rest waits for it.
        _console.OutputReceived += _ => goOn.Wait(TestPrograms.Patience);
        foreach (byte value in "before"u8) _console.Receive(value);
        using SerialFeed feed = new(_console);
        foreach (byte value in " and after"u8) _console.Receive(value);
        goOn.Set();
        _console.Drain(TestPrograms.Patience);
        long position = feed.History.Beginning;
        Read(feed, ref position, 100).ShouldBe("before and after");
    }

    [Fact]
    public void Who_falls_behind_loses_the_place_and_who_comes_finds_the_last_mebibyte()
    {
        using SerialFeed feed = new(_console);
        Print("oldest");
        long slow = feed.History.Beginning;
        string block = new('x', 64 << 10);
        for (int i = 0; i < 32; i++) Print(block);
        Print("newest");
        feed.TryRead(ref slow, new byte[10], out _).ShouldBeFalse();
        long position = feed.History.Beginning;
        string text = Read(feed, ref position, 4 << 20);
        text.Length.ShouldBe(SerialFeed.HistoryBytes);
        text.ShouldEndWith("xnewest");
        // It has as much again before it loses its own.
        long beginner = feed.History.Beginning;
        for (int i = 0; i < 15; i++) Print(block);
        feed.TryRead(ref beginner, new byte[10], out int count).ShouldBeTrue();
        count.ShouldBe(10);
    }

    [Fact]
    public async Task Readers_are_woken_by_output_and_by_the_end()
    {
        using SerialFeed feed = new(_console);
        Task changed = feed.Changed;
        changed.IsCompleted.ShouldBeFalse();
        Print("x");
        await changed.WaitAsync(TestPrograms.Patience);
        changed = feed.Changed;
        feed.Complete();
        await changed.WaitAsync(TestPrograms.Patience);
        feed.IsComplete.ShouldBeTrue();
    }

    private static string Read(SerialFeed feed, ref long position, int most)
    {
        byte[] data = new byte[most];
        feed.TryRead(ref position, data, out int count).ShouldBeTrue();
        return Encoding.ASCII.GetString(data, 0, count);
    }

    private void Print(string text)
    {
        foreach (char value in text) _console.Receive((byte)value);
        _console.Drain(TestPrograms.Patience);
    }
}
