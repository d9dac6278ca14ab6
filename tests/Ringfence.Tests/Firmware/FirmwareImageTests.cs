using Ringfence.Firmware;
using Ringfence.Processors;

namespace Ringfence.Tests.Firmware;

public sealed unsafe class FirmwareImageTests
{
    [Theory]
    [InlineData(64)]
    [InlineData(128)]
    [InlineData(256)]
    [InlineData(1024)]
    public void A_rom_ends_at_4_gib_and_its_last_256_kib_at_1_mib(int kilobytes)
    {
        byte[] rom = Rom(kilobytes << 10);
        using EmptyMachine machine = new(16UL << 20);
        Load(machine, rom);
        machine.Read((1UL << 32) - (ulong)rom.Length, rom.Length).ShouldBe(rom);
        byte[] low = rom[Math.Max(0, rom.Length - (256 << 10))..];
        machine.Read((1UL << 20) - (ulong)low.Length, low.Length).ShouldBe(low);
    }

    [Fact]
    public void The_processor_is_left_at_the_reset_vector()
    {
        using EmptyMachine machine = new();
        Load(machine, Rom(64 << 10));
        machine.State->Mode.ShouldBe(ProcessorMode.Real);
        (machine.State->Segment(SegmentIndex.Cs).Base + machine.State->Rip).ShouldBe(0xffff_fff0UL);
    }

    [Fact]
    public void Writes_to_the_rom_are_ignored()
    {
        byte[] rom = Rom(64 << 10);
        using EmptyMachine machine = new();
        Load(machine, rom);
        machine.Memory.Write(new Memory.GuestPhysical(0xf_0000), [0xaa]);
        machine.Memory.Write(new Memory.GuestPhysical(0xffff_0000), [0xaa]);
        machine.Read8(0xf_0000).ShouldBe(rom[0]);
        machine.Read8(0xffff_0000).ShouldBe(rom[0]);
    }

    [Theory]
    [InlineData(0, "a firmware image is a multiple of 64 KiB up to 1 MiB long, this one has 0 bytes")]
    [InlineData(1000, "a firmware image is a multiple of 64 KiB up to 1 MiB long, this one has 1000 bytes")]
    [InlineData(96 << 10, "a firmware image is a multiple of 64 KiB up to 1 MiB long, this one has 98304 bytes")]
    [InlineData(2 << 20, "a firmware image of 2 MiB is too large (at most 1 MiB)")]
    public void A_size_that_no_rom_has_is_refused(int bytes, string expected)
    {
        using EmptyMachine machine = new();
        Should.Throw<BootImageException>(() => Load(machine, new byte[bytes])).Message.ShouldBe($"bios.bin: {expected}");
    }

    private static byte[] Rom(int bytes)
    {
        byte[] rom = new byte[bytes];
        new Random(1).NextBytes(rom);
        return rom;
    }

    private static void Load(EmptyMachine machine, byte[] rom) =>
        BootLoader.Load(machine.Target, new BootRequest { Firmware = BootFile.FromBytes("bios.bin", rom) });
}
