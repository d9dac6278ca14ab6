using Ringfence.Host;

namespace Ringfence.Tests.Host;

public sealed class FreeRangesTests
{
    [Fact]
    public void The_lowest_range_that_fits_is_taken()
    {
        var ranges = new FreeRanges(0x1000, 0x4000);
        Take(ranges, 0x1000).ShouldBe((nuint)0x1000);
        Take(ranges, 0x2000).ShouldBe((nuint)0x2000);
        ranges.Give(0x1000, 0x1000);
        Take(ranges, 0x1000).ShouldBe((nuint)0x1000);
        Take(ranges, 0x1000).ShouldBe((nuint)0x4000);
        ranges.TryTake(1, out _).ShouldBeFalse();
    }

    [Fact]
    public void Neighbours_become_one_range_in_whatever_order_they_return()
    {
        foreach (int[] order in new int[][] { [0, 1, 2, 3], [3, 2, 1, 0], [0, 2, 1, 3], [1, 3, 0, 2], [2, 0, 3, 1] })
        {
            var ranges = new FreeRanges(0, 4);
            for (int i = 0; i < 4; i++) Take(ranges, 1).ShouldBe((nuint)i);
            ranges.TryTake(1, out _).ShouldBeFalse();
            foreach (int i in order) ranges.Give((nuint)i, 1);
            Take(ranges, 4).ShouldBe((nuint)0);
            ranges.TryTake(1, out _).ShouldBeFalse();
        }
    }

    [Fact]
    public void Ranges_that_do_not_touch_stay_apart()
    {
        var ranges = new FreeRanges(0, 3);
        for (int i = 0; i < 3; i++) Take(ranges, 1);
        ranges.Give(2, 1);
        ranges.Give(0, 1);
        ranges.TryTake(2, out _).ShouldBeFalse();
        Take(ranges, 1).ShouldBe((nuint)0);
        Take(ranges, 1).ShouldBe((nuint)2);
    }

    private static nuint Take(FreeRanges ranges, nuint length)
    {
        ranges.TryTake(length, out nuint start).ShouldBeTrue();
        return start;
    }
}
