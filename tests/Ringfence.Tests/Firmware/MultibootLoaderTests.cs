using Ringfence.Firmware;
using Ringfence.Processors;
using static Ringfence.Tests.Firmware.SampleImages;

namespace Ringfence.Tests.Firmware;

public sealed unsafe class MultibootLoaderTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_elf_file_of_either_class_is_loaded_and_entered_in_flat_protected_mode(bool is64)
    {
        using EmptyMachine machine = new();
        machine.Memory.Write(new Memory.GuestPhysical(0x10_1000), [0xee]);
        Load(machine, MultibootElf(is64));
        VcpuState* s = machine.State;
        s->Mode.ShouldBe(ProcessorMode.Protected);
        s->HasCr0(Cr0.Pg).ShouldBeFalse();
        s->Rip.ShouldBe(0x10_0008UL);
        s->Gpr[0].ShouldBe(0x2bad_b002UL);
        s->Segment(SegmentIndex.Cs).Limit.ShouldBe(uint.MaxValue);
        s->Segment(SegmentIndex.Cs).IsBig.ShouldBeTrue();
        (s->SystemFlags & (RflagsBits.If | RflagsBits.Vm)).ShouldBe(0UL);
        machine.Read(0x10_0000, 16).ShouldBe([.. Enumerable.Range(1, 16).Select(i => (byte)i)]);
        machine.Read8(0x10_1000).ShouldBe((byte)0);
    }

    [Fact]
    public void Address_fields_of_the_header_place_a_flat_image()
    {
        using EmptyMachine machine = new();
        machine.Memory.Write(new Memory.GuestPhysical(0x20_0f00), [0xee]);
        Load(machine, MultibootFlat());
        machine.State->Rip.ShouldBe(0x20_0040UL);
        machine.Read8(0x20_0040).ShouldBe((byte)0x40);
        machine.Read8(0x20_0f00).ShouldBe((byte)0);
    }

    [Fact]
    public void A_virtual_entry_address_is_turned_into_a_physical_one()
    {
        byte[] image = MultibootElf(is64: true);
        Put64(image, 24, 0xffff_ffff_8000_0008);
        Put64(image, 0x50, 0xffff_ffff_8000_0000);
        using EmptyMachine machine = new();
        Load(machine, image);
        machine.State->Rip.ShouldBe(0x10_0008UL);
    }

    [Fact]
    public void The_information_structure_holds_memory_command_line_modules_map_and_name()
    {
        using EmptyMachine machine = new();
        Load(machine, MultibootElf(is64: false), r => r with
        {
            CommandLine = "verbose=1",
            InitialRamDisks = [BootFile.FromBytes("/some/where/first.bin", [1, 2, 3], "a b"), BootFile.FromBytes("second", [4])],
        });
        ulong info = machine.State->Gpr[3];
        machine.Read32(info).ShouldBe((1U << 0) | (1 << 2) | (1 << 3) | (1 << 6) | (1 << 9));
        machine.Read32(info + 4).ShouldBe(639U);
        machine.Read32(info + 8).ShouldBe(63U << 10);
        machine.ReadText(machine.Read32(info + 16)).ShouldBe("kernel.elf verbose=1");
        machine.ReadText(machine.Read32(info + 64)).ShouldBe("Ringfence");
        machine.Read32(info + 20).ShouldBe(2U);
        ulong modules = machine.Read32(info + 24);
        uint first = machine.Read32(modules);
        (first & 0xfff).ShouldBe(0U);
        machine.Read32(modules + 4).ShouldBe(first + 3);
        machine.Read(first, 3).ShouldBe([1, 2, 3]);
        machine.ReadText(machine.Read32(modules + 8)).ShouldBe("first.bin a b");
        machine.Read32(modules + 16).ShouldBe(first + 0x1000);
        IReadOnlyList<E820Entry> map = E820Map.Build(machine.Memory);
        machine.Read32(info + 44).ShouldBe((uint)map.Count * 24);
        ulong at = machine.Read32(info + 48);
        foreach (E820Entry entry in map)
        {
            machine.Read32(at).ShouldBe(20U);
            new E820Entry(machine.Read64(at + 4), machine.Read64(at + 12), (E820Type)machine.Read32(at + 20)).ShouldBe(entry);
            at += 24;
        }
    }

    [Fact]
    public void The_information_moves_out_of_the_way_of_an_image_in_low_memory()
    {
        byte[] image = MultibootElf(is64: false);
        Put32(image, 0x48, 0x1_0000);
        Put32(image, 0x4c, 0x1_0000);
        using EmptyMachine machine = new();
        Load(machine, image);
        machine.Read(0x1_0000, 4).ShouldBe([1, 2, 3, 4]);
        machine.State->Gpr[3].ShouldBeGreaterThanOrEqualTo(0x5_0000UL);
    }

    [Theory]
    [InlineData("required feature", "requires features that nobody knows (flags 0x8)")]
    [InlineData("not an ELF file", "is no ELF file and its header has no address fields")]
    [InlineData("ARM", "is for machine 40, not for x86")]
    [InlineData("object file", "is not an executable")]
    [InlineData("big endian", "is neither 32-bit nor 64-bit little-endian")]
    [InlineData("no program headers", "has no program headers")]
    [InlineData("program headers outside", "its program headers lie behind its end")]
    [InlineData("tiny program headers", "has program headers of 8 bytes")]
    [InlineData("truncated", "is truncated: a segment ends at byte 528 of 520")]
    [InlineData("file larger than memory", "more bytes in the file (16) than in memory (8)")]
    [InlineData("nothing to load", "has nothing to load")]
    [InlineData("above the RAM", "the image is too large for the memory asked for: it needs RAM up to 1 GiB, the machine has 64 MiB")]
    [InlineData("in device space", "at 0xfee00000 to 0xfee01fff, which is not RAM")]
    [InlineData("in video memory", "at 0xa0000 to 0xa1fff, which is not RAM")]
    public void A_spoiled_elf_file_is_refused_with_one_line_that_says_what_is_wrong(string spoiled, string expected)
    {
        byte[] image = MultibootElf(is64: false);
        switch (spoiled)
        {
            case "required feature": PutMultibootHeader(image, 0x100, 8); break;
            case "not an ELF file": image[0] = 0; break;
            case "ARM": Put16(image, 18, 40); break;
            case "object file": Put16(image, 16, 1); break;
            case "big endian": image[5] = 2; break;
            case "no program headers": Put16(image, 44, 0); break;
            case "program headers outside": Put32(image, 28, 0xffff_fff0); break;
            case "tiny program headers": Put16(image, 42, 8); break;
            case "truncated": image = image[..520]; break;
            case "file larger than memory": Put32(image, 0x54, 8); break;
            case "nothing to load": Put32(image, 0x40, 2); break;
            case "above the RAM": Put32(image, 0x4c, (1 << 30) - 0x2000); break;
            case "in device space": Put32(image, 0x4c, 0xfee0_0000); break;
            case "in video memory": Put32(image, 0x4c, 0xa_0000); break;
        }

        Refusal(image).ShouldContain(expected);
    }

    [Theory]
    [InlineData(0x1c, 0x10_0000, "contradicts its load address")]
    [InlineData(0x24, 0x20_0400, "is truncated: 256 of 1024 bytes are there")]
    [InlineData(0x24, 0x1f_0000, "ends before its load address")]
    [InlineData(0x28, 0x20_0080, "zeroed end before the end of its bytes")]
    public void Contradicting_address_fields_are_refused(int field, int value, string expected)
    {
        byte[] image = MultibootFlat();
        Put32(image, field, (uint)value);
        Refusal(image).ShouldContain(expected);
    }

    [Fact]
    public void A_header_with_a_wrong_checksum_or_behind_8_kib_is_no_header()
    {
        byte[] wrong = MultibootElf(is64: false);
        wrong[0x108]++;
        Refusal(wrong).ShouldContain("is an ELF file without a Multiboot 1 header in its first 8 KiB");
        byte[] far = new byte[16384];
        PutMultibootHeader(far, 8192, 0);
        Refusal(far).ShouldContain("is neither a Linux bzImage nor a Multiboot 1 image");
    }

    [Fact]
    public void A_module_larger_than_what_is_left_is_refused()
    {
        using EmptyMachine machine = new(2UL << 20);
        Should.Throw<BootImageException>(() => Load(machine, MultibootElf(is64: false), r => r with { InitialRamDisks = [BootFile.FromBytes("module", new byte[1 << 20])] }))
            .Message.ShouldStartWith("module: the module of 1 MiB is too large for the memory asked for");
    }

    [Fact]
    public void No_spoiled_byte_does_anything_but_load_or_be_refused()
    {
        using EmptyMachine machine = new(2UL << 20);
        foreach (byte[] sample in new[] { MultibootElf(is64: false), MultibootElf(is64: true), MultibootFlat() })
        {
            for (int at = 0; at < Math.Min(sample.Length, 0x110); at++)
            {
                foreach (byte value in new byte[] { 0, 1, 0x7f, 0x80, 0xff })
                {
                    byte[] image = [.. sample];
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
    }

    private static string Refusal(byte[] image)
    {
        using EmptyMachine machine = new();
        string message = Should.Throw<BootImageException>(() => Load(machine, image)).Message;
        message.ShouldStartWith("kernel.elf: ");
        message.ShouldNotContain("\n");
        return message;
    }

    private static void Load(EmptyMachine machine, byte[] image, Func<BootRequest, BootRequest>? change = null)
    {
        BootRequest request = new() { Kernel = BootFile.FromBytes("kernel.elf", image) };
        BootLoader.Load(machine.Target, change is null ? request : change(request));
    }
}
