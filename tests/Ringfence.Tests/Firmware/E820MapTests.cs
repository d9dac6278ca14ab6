using Ringfence.Firmware;
using Ringfence.Memory;

namespace Ringfence.Tests.Firmware;

public sealed class E820MapTests
{
    private const ulong MiB = 1 << 20;
    private const ulong GiB = 1 << 30;

    [Theory]
    [InlineData(1 * MiB)]
    [InlineData(512 * MiB)]
    [InlineData(3584 * MiB)]
    [InlineData(16 * GiB)]
    public void The_map_is_sorted_does_not_overlap_and_calls_only_ram_usable(ulong bytes)
    {
        using PhysicalMemory memory = new(bytes);
        IReadOnlyList<E820Entry> map = E820Map.Build(memory);
        for (int i = 1; i < map.Count; i++) map[i].Start.ShouldBeGreaterThanOrEqualTo(map[i - 1].End);
        foreach (E820Entry entry in map)
        {
            entry.Length.ShouldBeGreaterThan(0UL);
            if (entry.Type == E820Type.Usable) memory.IsRam(entry.Start, entry.Length).ShouldBeTrue();
        }

        ulong usable = map.Where(e => e.Type == E820Type.Usable && e.Start >= MiB).Aggregate(0UL, (sum, e) => sum + e.Length);
        usable.ShouldBe(bytes - MiB);
    }

    [Fact]
    public void One_mib_has_no_usable_memory_above_it()
    {
        Build(1 * MiB).ShouldBe(
        [
            new(0, 0x9_fc00, E820Type.Usable),
            new(0x9_fc00, 0x400, E820Type.Reserved),
            new(0xf_0000, 0x1_0000, E820Type.Reserved),
            new(0xfec0_0000, 0x1000, E820Type.Reserved),
            new(0xfee0_0000, 0x1000, E820Type.Reserved),
        ]);
    }

    [Fact]
    public void Memory_beyond_the_device_space_continues_at_4_gib()
    {
        IReadOnlyList<E820Entry> map = Build(3584 * MiB);
        map.ShouldContain(new E820Entry(MiB, PhysicalMemory.DeviceSpace - MiB, E820Type.Usable));
        map[^1].ShouldBe(new E820Entry(4 * GiB, 512 * MiB, E820Type.Usable));
        Build(16 * GiB)[^1].ShouldBe(new E820Entry(4 * GiB, 13 * GiB, E820Type.Usable));
    }

    private static IReadOnlyList<E820Entry> Build(ulong bytes)
    {
        using PhysicalMemory memory = new(bytes);
        return E820Map.Build(memory);
    }
}
