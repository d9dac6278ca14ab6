using System.Buffers.Binary;
using Ringfence.Machines;
using Ringfence.Tests.Machines;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using static Ringfence.Tests.Firmware.Bios.BootPrograms;

namespace Ringfence.Tests.Firmware.Bios;

public sealed class ElToritoTests
{
    private const int Sector = 2048;
    private const int ImageSector = 20;

    internal enum Media : byte
    {
        None = 0,
        Floppy1440 = 2,
        HardDisk = 4,
    }

    [EngineFact]
    public async Task A_program_on_a_cd_is_loaded_and_reads_the_cd_by_number()
    {
        byte[] program = TestPrograms.Assemble(16, 0x7c00, c =>
        {
            Iced.Intel.Label print = c.WordPrinter();
            c.mov(ax, dx);
            c.call(print);

            // Function 4Bh tells where it came from; sector 21 is full of 15h.
            c.mov(si, 0x600);
            c.mov(ax, 0x4b01);
            c.@int(0x13);
            c.movzx(ax, __byte_ptr[0x602]);
            c.call(print);
            c.mov(__dword_ptr[0x700], 0x0001_0010);
            c.mov(__dword_ptr[0x704], 0x1000);
            c.mov(__dword_ptr[0x708], ImageSector + 1);
            c.mov(__dword_ptr[0x70c], 0);
            c.mov(si, 0x700);
            c.mov(dl, 0xe0);
            c.mov(ah, 0x42);
            c.@int(0x13);
            c.mov(ax, __word_ptr[0x17fe]);
            c.call(print);
            c.PowerOff();
        });
        byte[] disc = Disc(Media.None, program);
        disc.AsSpan((ImageSector + 1) * Sector, Sector).Fill(0x15);
        (await RunAsync(From(CdRom(disc)))).ShouldEndWith("00e000e01515");
    }

    [EngineFact]
    public async Task A_diskette_on_a_cd_is_the_first_diskette_until_it_is_ended()
    {
        byte[] image = Disk(c =>
        {
            Iced.Intel.Label print = c.WordPrinter();
            c.mov(ax, dx);
            c.call(print);

            // Cylinder 0, head 1, sector 1 is sector 18; then the emulation ends and drive 0 is the real one.
            foreach (bool ended in (bool[])[false, true])
            {
                if (ended)
                {
                    c.mov(si, 0x600);
                    c.mov(ax, 0x4b00);
                    c.@int(0x13);
                }

                c.mov(ax, 0x0201);
                c.mov(cx, 0x0001);
                c.mov(dx, 0x0100);
                c.mov(bx, 0x1000);
                c.@int(0x13);
                c.mov(ax, __word_ptr[0x1000]);
                c.call(print);
            }

            c.PowerOff();
        });
        byte[] real = new byte[1440 << 10];
        real.AsSpan().Fill(0x77);
        BiosBoot boot = From(Floppy(real), CdRom(Disc(Media.Floppy1440, image))) with { Order = [BootDevice.CdRom] };
        (await RunAsync(boot)).ShouldEndWith("000012127777");
    }

    [EngineFact]
    public async Task A_hard_disk_on_a_cd_is_drive_80h_and_cannot_be_written()
    {
        byte[] image = Disk(c =>
        {
            Iced.Intel.Label print = c.WordPrinter();
            c.mov(ax, dx);
            c.call(print);
            c.mov(ax, 0x0301);
            c.mov(cx, 0x0002);
            c.mov(dx, 0x0080);
            c.mov(bx, 0x1000);
            c.@int(0x13);
            c.call(print);
            c.PowerOff();
        });

        // The only partition ends at cylinder 9, head 15, sector 18.
        new byte[] { 0x80, 0, 1, 0, 6, 15, 18, 9 }.CopyTo(image, 446);
        (await RunAsync(From(CdRom(Disc(Media.HardDisk, image))))).ShouldEndWith("00800300");
    }

    /// <summary>A disc with a boot catalog of one entry.</summary>
    internal static byte[] Disc(Media media, byte[] image)
    {
        byte[] disc = new byte[(ImageSector * Sector) + ((image.Length + Sector - 1) / Sector * Sector) + (8 * Sector)];
        void Descriptor(int sector, byte type)
        {
            disc[sector * Sector] = type;
            "CD001"u8.CopyTo(disc.AsSpan((sector * Sector) + 1));
            disc[(sector * Sector) + 6] = 1;
        }

        Descriptor(16, 1);
        Descriptor(17, 0);
        Descriptor(18, 255);
        "EL TORITO SPECIFICATION"u8.CopyTo(disc.AsSpan((17 * Sector) + 7));
        BinaryPrimitives.WriteUInt32LittleEndian(disc.AsSpan((17 * Sector) + 0x47), 19);
        Span<byte> catalog = disc.AsSpan(19 * Sector);
        catalog[0] = 1;
        catalog[0x1e] = 0x55;
        catalog[0x1f] = 0xaa;
        BinaryPrimitives.WriteUInt16LittleEndian(catalog[0x1c..], unchecked((ushort)-(0xaa55 + 1)));
        catalog[0x20] = 0x88;
        catalog[0x21] = (byte)media;
        BinaryPrimitives.WriteUInt16LittleEndian(catalog[0x26..], (ushort)(media == Media.None ? Math.Min((image.Length + 511) / 512, 64) : 1));
        BinaryPrimitives.WriteUInt32LittleEndian(catalog[0x28..], ImageSector);
        image.CopyTo(disc, ImageSector * Sector);
        return disc;
    }
}
