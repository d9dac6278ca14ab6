using Ringfence.Firmware;
using Ringfence.Processors;
using static Ringfence.Tests.Firmware.SampleImages;

namespace Ringfence.Tests.Firmware;

public sealed unsafe class LinuxLoaderTests
{
    private const ulong Preferred = 0x100_0000;

    [Fact]
    public void A_64_bit_kernel_starts_in_long_mode_200h_behind_its_load_address_with_rsi_at_boot_params()
    {
        using EmptyMachine machine = new();
        Load(machine, Linux());
        VcpuState* s = machine.State;
        s->Mode.ShouldBe(ProcessorMode.Long);
        s->Rip.ShouldBe(Preferred + 0x200);
        s->Gpr[6].ShouldBe(LowMemory.ZeroPage);
        s->Segment(SegmentIndex.Cs).Selector.ShouldBe((ushort)0x10);
        s->Segment(SegmentIndex.Ds).Selector.ShouldBe((ushort)0x18);
        (s->SystemFlags & RflagsBits.If).ShouldBe(0UL);
        s->Activity.ShouldBe(ActivityState.Active);
        machine.Read(Preferred, 16).ShouldBe([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    }

    [Fact]
    public void The_64_bit_entry_finds_the_first_4_gib_mapped_to_themselves()
    {
        using EmptyMachine machine = new();
        Load(machine, Linux());
        foreach (ulong address in new[] { 0UL, Preferred, LowMemory.ZeroPage, 0xfee0_0000UL, 0xffff_ffffUL })
        {
            machine.Target.BootProcessor.Mmu.TryTranslateForDebugger(address, out ulong physical).ShouldBeTrue();
            physical.ShouldBe(address);
        }
    }

    [Fact]
    public void The_descriptors_in_memory_say_what_the_segment_registers_hold()
    {
        using EmptyMachine machine = new();
        Load(machine, Linux());
        machine.State->Gdtr.Base.ShouldBe(LowMemory.Gdt);
        machine.Read64(LowMemory.Gdt + 0x10).ShouldBe(0x00af_9b00_0000_ffffUL);
        machine.Read64(LowMemory.Gdt + 0x18).ShouldBe(0x00cf_9300_0000_ffffUL);
    }

    [Theory]
    [InlineData(true, 0x20f)]
    [InlineData(false, 0x20b)]
    public void The_32_bit_entry_is_taken_when_asked_for_or_when_there_is_no_other(bool force, int version)
    {
        byte[] image = Linux();
        Put16(image, 0x206, (ushort)version);
        using EmptyMachine machine = new();
        Load(machine, image, request => request with { Use32BitEntry = force });
        VcpuState* s = machine.State;
        s->Mode.ShouldBe(ProcessorMode.Protected);
        s->HasCr0(Cr0.Pg).ShouldBeFalse();
        s->Rip.ShouldBe(Preferred);
        s->Gpr[6].ShouldBe(LowMemory.ZeroPage);
        s->Gpr[5].ShouldBe(0UL);
        s->Gpr[7].ShouldBe(0UL);
        s->Gpr[3].ShouldBe(0UL);
        s->Segment(SegmentIndex.Cs).Selector.ShouldBe((ushort)0x10);
        s->Segment(SegmentIndex.Ss).Selector.ShouldBe((ushort)0x18);
        s->Segment(SegmentIndex.Ss).IsBig.ShouldBeTrue();
    }

    [Fact]
    public void A_kernel_that_is_not_relocatable_is_loaded_at_1_mib()
    {
        byte[] image = Linux();
        image[0x234] = 0;
        using EmptyMachine machine = new();
        Load(machine, image);
        machine.State->Rip.ShouldBe(0x10_0200UL);
        machine.Read32(LowMemory.ZeroPage + 0x214).ShouldBe(0x10_0000U);
    }

    [Fact]
    public void Boot_params_hold_the_header_the_loader_fields_and_the_memory_map()
    {
        using EmptyMachine machine = new();
        Load(machine, Linux(), request => request with { CommandLine = "console=ttyS0 quiet" });
        const ulong P = LowMemory.ZeroPage;
        machine.Read32(P + 0x202).ShouldBe(0x5372_6448U);
        machine.Read8(P + 0x210).ShouldBe((byte)0xff);
        machine.Read8(P + 0x211).ShouldBe((byte)0x81);
        machine.Read8(P + 0x1ef).ShouldBe((byte)0);
        machine.Read(P, 0x40).ShouldAllBe(b => b == 0);
        machine.Read32(P + 0x214).ShouldBe((uint)Preferred);
        machine.ReadText(machine.Read32(P + 0x228)).ShouldBe("console=ttyS0 quiet");
        machine.Read(machine.Read64(P + 0x70), 8).ShouldBe("RSD PTR "u8.ToArray());
        IReadOnlyList<E820Entry> map = E820Map.Build(machine.Memory);
        machine.Read8(P + 0x1e8).ShouldBe((byte)map.Count);
        for (int i = 0; i < map.Count; i++)
        {
            ulong at = P + 0x2d0 + (20 * (ulong)i);
            new E820Entry(machine.Read64(at), machine.Read64(at + 8), (E820Type)machine.Read32(at + 16)).ShouldBe(map[i]);
        }
    }

    [Fact]
    public void Initial_ram_disks_are_joined_and_lie_as_high_as_the_memory_allows()
    {
        using EmptyMachine machine = new();
        Load(machine, Linux(), request => request with
        {
            InitialRamDisks = [BootFile.FromBytes("a", [1, 2, 3, 4, 5]), BootFile.FromBytes("b", [6, 7])],
        });
        uint start = machine.Read32(LowMemory.ZeroPage + 0x218);
        start.ShouldBe((64U << 20) - 0x1000);
        machine.Read32(LowMemory.ZeroPage + 0x21c).ShouldBe(10U);
        machine.Read(start, 10).ShouldBe([1, 2, 3, 4, 5, 0, 0, 0, 6, 7]);
    }

    [Fact]
    public void An_initial_ram_disk_stays_below_the_limit_of_the_kernel()
    {
        byte[] image = Linux();
        Put32(image, 0x22c, 0x1ff_ffff);
        using EmptyMachine machine = new();
        Load(machine, image, request => request with { InitialRamDisks = [BootFile.FromBytes("a", new byte[0x1800])] });
        machine.Read32(LowMemory.ZeroPage + 0x218).ShouldBe(0x1ff_e000U);
    }

    [Fact]
    public void Memory_types_are_set_on_every_processor()
    {
        using EmptyMachine machine = new(processors: 3);
        Load(machine, Linux());
        foreach (Processor processor in machine.Target.Processors)
        {
            processor.State->MtrrDefaultType.ShouldBe(0xc06UL);
            processor.State->MtrrFixed[0].ShouldBe(0x0606_0606_0606_0606UL);
            processor.State->MtrrFixed[2].ShouldBe(0UL);
            processor.State->MtrrVariable[0].ShouldBe(0xc000_0000UL);
        }
    }

    [Fact]
    public void The_bios_data_area_names_the_serial_ports_and_640_kib_less_the_extended_area()
    {
        using EmptyMachine machine = new(serialPorts: 2);
        Load(machine, Linux());
        machine.Read16(0x400).ShouldBe((ushort)0x3f8);
        machine.Read16(0x402).ShouldBe((ushort)0x2f8);
        machine.Read16(0x404).ShouldBe((ushort)0);
        machine.Read16(0x40e).ShouldBe((ushort)0x9fc0);
        machine.Read16(0x413).ShouldBe((ushort)639);
    }

    [Theory]
    [InlineData("empty", "the file is empty")]
    [InlineData("sector", "is neither a Linux bzImage nor a Multiboot 1 image (only 512 bytes long)")]
    [InlineData("no signature", "is neither a Linux bzImage nor a Multiboot 1 image")]
    [InlineData("header only", "is truncated: 550 bytes are no setup header")]
    [InlineData("setup only", "is truncated: it ends within its 1024 bytes of setup code")]
    [InlineData("half the code", "is truncated: 2048 bytes of 4096 bytes of code are there")]
    [InlineData("old protocol", "its boot protocol 2.01 is too old")]
    [InlineData("zImage", "is a zImage")]
    [InlineData("short header", "which is impossible")]
    [InlineData("alignment", "its alignment of 3000 bytes is no power of two")]
    [InlineData("payload", "is truncated: its payload ends at byte 6144 of 4096 bytes of code")]
    [InlineData("address", "wants to run at address")]
    [InlineData("needs more RAM", "the kernel is too large for the memory asked for: it needs RAM up to 116 MiB, the machine has 64 MiB")]
    [InlineData("gzip", "is gzip data")]
    public void A_spoiled_image_is_refused_with_one_line_that_says_what_is_wrong(string spoiled, string expected)
    {
        byte[] image = Linux();
        switch (spoiled)
        {
            case "empty": image = []; break;
            case "sector": image = image[..512]; break;
            case "no signature": image[0x202] = 0; break;
            case "header only": image = image[..550]; break;
            case "setup only": image = image[..1000]; break;
            case "half the code": image = image[..(SetupBytes + 2048)]; break;
            case "old protocol": Put16(image, 0x206, 0x201); break;
            case "zImage": image[0x211] = 0; break;
            case "short header": image[0x201] = 8; break;
            case "alignment": Put32(image, 0x230, 3000); break;
            case "payload": (image[0x249], image[0x24d]) = (0x10, 0x08); break;
            case "address": Put64(image, 0x258, ulong.MaxValue - 0xfffff); image[0x234] = 0; break;
            case "needs more RAM": Put32(image, 0x260, 100 << 20); break;
            case "gzip": image = [0x1f, 0x8b, .. new byte[1000]]; break;
        }

        using EmptyMachine machine = new();
        string message = Should.Throw<BootImageException>(() => Load(machine, image)).Message;
        message.ShouldStartWith("vmlinuz: ");
        message.ShouldContain(expected);
        message.ShouldNotContain("\n");
    }

    [Fact]
    public void No_spoiled_byte_of_the_header_does_anything_but_load_or_be_refused()
    {
        using EmptyMachine machine = new();
        for (int at = 0x1f1; at < 0x270; at++)
        {
            foreach (byte value in new byte[] { 0, 1, 0x7f, 0x80, 0xff })
            {
                byte[] image = Linux();
                image[at] = value;
                try
                {
                    Load(machine, image);
                }
                catch (BootImageException refusal)
                {
                    refusal.Message.ShouldNotContain("\n");
                }
            }
        }
    }

    [Fact]
    public void A_command_line_longer_than_the_kernel_takes_is_refused()
    {
        using EmptyMachine machine = new();
        Should.Throw<BootImageException>(() => Load(machine, Linux(), r => r with { CommandLine = new string('x', 2048) }))
            .Message.ShouldBe("vmlinuz: the command line has 2048 bytes, this kernel takes at most 2047");
        Load(machine, Linux(), r => r with { CommandLine = new string('x', 2047) });
    }

    [Fact]
    public void An_initial_ram_disk_larger_than_what_is_left_is_refused()
    {
        using EmptyMachine machine = new(32UL << 20);
        Should.Throw<BootImageException>(() => Load(machine, Linux(), r => r with { InitialRamDisks = [BootFile.FromBytes("initrd", new byte[13 << 20])] }))
            .Message.ShouldStartWith("initrd: the initial RAM disk of 13 MiB is too large for the memory asked for");
    }

    [Fact]
    public void A_missing_file_and_a_folder_are_named()
    {
        using EmptyMachine machine = new();
        Should.Throw<BootImageException>(() => BootLoader.Load(machine.Target, new BootRequest { Kernel = BootFile.FromPath("/nonexistent/vmlinuz") }))
            .Message.ShouldBe("/nonexistent/vmlinuz: no such file or folder");
        Should.Throw<BootImageException>(() => BootLoader.Load(machine.Target, new BootRequest { Kernel = BootFile.FromPath("/") }))
            .Message.ShouldBe("/: is a folder, not a file");
    }

    [SkippableTheory]
    [InlineData("memtest86+x64.bin")]
    [InlineData("vmlinuz-cloud-amd64")]
    [InlineData("vmlinuz-amd64")]
    public void Debians_images_are_taken(string name)
    {
        string? path = Guests.Find(name);
        Skip.If(path is null, $"{name} is not there; eng/fetch-guests.sh gets it");
        using EmptyMachine machine = new(256UL << 20);
        BootLoader.Load(machine.Target, new BootRequest { Kernel = BootFile.FromPath(path) });
        machine.State->Mode.ShouldBe(ProcessorMode.Long);
        machine.Memory.IsRam(machine.State->Rip, 16).ShouldBeTrue();
    }

    private static void Load(EmptyMachine machine, byte[] image, Func<BootRequest, BootRequest>? change = null)
    {
        BootRequest request = new() { Kernel = BootFile.FromBytes("vmlinuz", image) };
        BootLoader.Load(machine.Target, change is null ? request : change(request));
    }
}
