using System.Buffers.Binary;
using System.Diagnostics;
using Ringfence.Guests;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Guests;

public sealed class GuestImageTests
{
    private const uint Magic = 0x1bad_b002;

    [Fact]
    public void The_image_is_the_same_each_time() => BuiltInGuest.CreateImage().ShouldBe(BuiltInGuest.CreateImage());

    [Fact]
    public void The_image_is_assembled_in_a_moment()
    {
        BuiltInGuest.CreateImage();
        BusyHost.OnceOf(10, () =>
        {
            Stopwatch watch = Stopwatch.StartNew();
            BuiltInGuest.CreateImage();
            watch.Elapsed.ShouldBeLessThan(TimeSpan.FromMilliseconds(200));
        });
    }

    [Fact]
    public void The_image_is_elf32_with_a_multiboot_header_in_its_first_8_kib()
    {
        byte[] image = BuiltInGuest.CreateImage();
        image[..7].ShouldBe([0x7f, (byte)'E', (byte)'L', (byte)'F', 1, 1, 1]);
        int header = Enumerable.Range(0, 8192 / 4).Select(i => i * 4).First(i => Word(image, i) == Magic);
        unchecked(Word(image, header) + Word(image, header + 4) + Word(image, header + 8)).ShouldBe(0u);
        (Word(image, header + 4) & 0xffff_0000).ShouldBe(0u, "the addresses are ELF's, not the header's");
    }

    [Fact]
    public void No_part_of_the_image_is_both_writable_and_executable_and_none_overlap()
    {
        List<Segment> segments = [.. Segments(BuiltInGuest.CreateImage())];
        segments.ShouldAllBe(s => (s.Rights & 3) != 3);
        foreach ((Segment first, Segment second) in segments.Zip(segments.Skip(1)))
            (first.Address + first.MemoryBytes).ShouldBeLessThanOrEqualTo(second.Address);
        segments.ShouldAllBe(s => s.Address + s.MemoryBytes <= BuiltInGuest.LeastMemory);
    }

    [Fact]
    public void The_entry_lies_in_executable_memory()
    {
        byte[] image = BuiltInGuest.CreateImage();
        uint entry = Word(image, 24);
        Segments(image).ShouldContain(s => (s.Rights & 1) != 0 && entry >= s.Address && entry < s.Address + s.MemoryBytes);
    }

    [Fact]
    public void Routines_are_known_by_name()
    {
        BuiltInGuest.CreateImage(out IReadOnlyDictionary<string, ulong> symbols);
        symbols["user.shell"].ShouldBe(0x40_0000ul);
        symbols["kernel.system_call_entry"].ShouldBeGreaterThan(0xffff_ffff_8020_0000);
        symbols.Keys.ShouldContain("user.is_prime");
    }

    private static uint Word(byte[] image, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(image.AsSpan(offset));

    private static IEnumerable<Segment> Segments(byte[] image)
    {
        int table = (int)Word(image, 28);
        int count = BinaryPrimitives.ReadUInt16LittleEndian(image.AsSpan(44));
        for (int i = 0; i < count; i++)
        {
            int header = table + (i * 32);
            yield return new Segment(Word(image, header + 12), Word(image, header + 20), Word(image, header + 24));
        }
    }

    private sealed record Segment(uint Address, uint MemoryBytes, uint Rights);
}
