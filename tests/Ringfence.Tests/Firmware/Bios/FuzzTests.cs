using System.Buffers.Binary;
using Ringfence.Firmware.Bios;
using Ringfence.Tests.Support;
using static Ringfence.Tests.Firmware.Bios.BootPrograms;

namespace Ringfence.Tests.Firmware.Bios;

public sealed class FuzzTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Calls_with_random_registers_neither_fail_nor_hang_nor_leave_memory(int seed)
    {
        byte[] disk = new byte[1440 << 10];
        FakePlatform platform = new(Floppy((byte[])disk.Clone()), HardDisk((byte[])disk.Clone()), CdRom(ElToritoTests.Disc(ElToritoTests.Media.Floppy1440, disk[..512])));
        Random random = new(seed);
        ReadOnlySpan<ushort> services =
            [0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x40, FirmwareService.KeyboardByte, FirmwareService.MouseByte, FirmwareService.PowerOn, 0x77];
        for (int i = 0; i < 4_000; i++)
        {
            ushort service = services[random.Next(services.Length)];
            uint Value() => random.Next(3) switch { 0 => (uint)random.Next(0x10), 1 => (uint)random.Next(0x1_0000), _ => (uint)random.NextInt64(1L << 32) };
            ServiceFrame frame = platform.Call(service, Value(), Value(), Value(), Value(), f =>
            {
                f.Esi = Value();
                f.Edi = Value();
                f.Ebp = Value();
                f.Ds = (ushort)Value();
                f.Es = (ushort)Value();
                f.Step = (byte)random.Next(3);
                if (service == 0x13 && random.Next(2) == 0) f.Dl = (byte)(random.Next(2) == 0 ? 0x80 : 0xe0);
                if (service == 0x1a && random.Next(2) == 0) f.Ah = 0xb1;
                if (service == 0x10 && random.Next(4) == 0) f.Ah = 0x4f;
            });
            ((int)frame.Answer).ShouldBeLessThanOrEqualTo((int)ServiceAnswer.Again);
        }
    }

    [Fact]
    public void Frames_that_are_not_in_memory_are_ignored()
    {
        FakePlatform platform = new();
        ulong before = platform.Services.MisuseCount;
        foreach (uint address in (uint[])[0x1f_fff0, 0x20_0000, 0xfee0_0000, 0xffff_ffff]) platform.Services.Write32(0, address);
        platform.Services.Write8(0, 0);
        platform.Services.Write16(2, 0);
        platform.Services.MisuseCount.ShouldBe(before + 6);
        platform.Services.Read32(0).ShouldBe(uint.MaxValue);
    }

    [Fact]
    public void Discs_with_random_catalogs_start_nothing_that_is_not_there()
    {
        Random random = new(7);
        byte[] disc = ElToritoTests.Disc(ElToritoTests.Media.None, new byte[2048]);
        for (int i = 0; i < 2_000; i++)
        {
            byte[] mutated = (byte[])disc.Clone();
            for (int change = random.Next(1, 6); change > 0; change--)
            {
                // The boot record at sector 17, or the catalog at 19 with its sum made right again.
                int at = random.Next(3) == 0 ? (17 * 2048) + random.Next(0x50) : (19 * 2048) + random.Next(128);
                mutated[at] = (byte)random.Next(256);
            }

            BinaryPrimitives.WriteUInt16LittleEndian(mutated.AsSpan((19 * 2048) + 0x1c), 0);
            ushort sum = 0;
            for (int at = 0; at < 32; at += 2) sum += BinaryPrimitives.ReadUInt16LittleEndian(mutated.AsSpan((19 * 2048) + at));
            BinaryPrimitives.WriteUInt16LittleEndian(mutated.AsSpan((19 * 2048) + 0x1c), (ushort)-sum);
            DiskView view = new() { Drive = CdRom(mutated), Number = BiosDisk.FirstCdRom };
            ElToritoImage? image = ElToritoImage.Find(view);
            if (image is null) continue;
            image.Start.ShouldBeLessThan(mutated.Length);
            image.Bytes.ShouldBeLessThanOrEqualTo(mutated.Length);
        }
    }
}
