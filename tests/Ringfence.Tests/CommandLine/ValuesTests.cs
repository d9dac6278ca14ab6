using Ringfence.Cli.Commands;

namespace Ringfence.Tests.CommandLine;

public sealed class ValuesTests
{
    [Theory]
    [InlineData("1048576", 1UL << 20)]
    [InlineData("512M", 512UL << 20)]
    [InlineData("512MiB", 512UL << 20)]
    [InlineData("512mb", 512UL << 20)]
    [InlineData("1G", 1UL << 30)]
    [InlineData("2048 K", 2UL << 20)]
    [InlineData("16g", 16UL << 30)]
    public void Memory_sizes_count_in_binary_units(string text, ulong bytes) => Values.MemorySize(text).ShouldBe(bytes);

    [Fact]
    public void A_timeout_may_be_a_fraction_of_a_second() => Values.Timeout("0.25").ShouldBe(TimeSpan.FromMilliseconds(250));
}
