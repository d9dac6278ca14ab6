using Ringfence.Devices;
using Ringfence.Devices.Video;
using Ringfence.Machines;
using Ringfence.Memory;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices.Video;

public class VgaPciTests
{
    [Fact]
    public void The_function_is_the_one_drivers_look_for()
    {
        VgaFixture vga = new(16 << 20);
        byte[] rom = [0x55, 0xaa, 0x01, .. new byte[40_000]];
        VgaPciFunction function = new(vga.Adapter, vga.Memory, rom);
        function.Read(0, 4).ShouldBe(0x1111_1234U);
        function.Read(8, 4).ShouldBe(0x0300_0002U);
        uint SizeOf(int offset)
        {
            function.Write(offset, 4, 0xffff_ffff);
            return function.Read(offset, 4);
        }

        SizeOf(0x10).ShouldBe(0xff00_0008U);
        SizeOf(0x14).ShouldBe(0U);
        SizeOf(0x18).ShouldBe(0xffff_f000U);
        SizeOf(0x30).ShouldBe(0xffff_0001U);
        IBusDevice image = (IBusDevice)function.Bars[2].Target!;
        image.Read32(0).ShouldBe(0x0001_aa55U);
        image.Read32(50_000).ShouldBe(uint.MaxValue);
        new VgaPciFunction(vga.Adapter, vga.Memory, default).Bars.Count.ShouldBe(2);
    }

    [Fact]
    public void What_processors_write_directly_is_found_when_somebody_looks()
    {
        using FrameBufferMemory shared = new(16 << 20);
        VgaAdapter adapter = Direct(shared);
        VideoPicture picture = default;
        long generation = 0;
        adapter.Output.Draw(ref picture, ref generation).ShouldBe((0, 480));
        adapter.Output.Draw(ref picture, ref generation).ShouldBe((0, 0));
        shared.Bytes[(640 * 4 * 100) + 1] = 0x80;
        adapter.Output.Draw(ref picture, ref generation).ShouldBe((100, 101));
        picture.Pixels[64_000].ShouldBe(0xff00_8000);
        adapter.Display.Write(9, 400);
        adapter.Output.Draw(ref picture, ref generation).ShouldBe((100, 101));
        adapter.Output.Draw(ref picture, ref generation).ShouldBe((0, 0));
        shared.Bytes[640 * 4 * 400] = 1;
        adapter.Output.Draw(ref picture, ref generation).ShouldBe((0, 1));
    }

    [Fact]
    public void Restored_memory_is_shown_where_processors_write_directly()
    {
        using FrameBufferMemory shared = new(16 << 20), other = new(16 << 20);
        VgaAdapter adapter = Direct(other);
        VideoPicture picture = default;
        long generation = 0;
        adapter.Output.Draw(ref picture, ref generation).ShouldBe((0, 480));
        shared.Bytes[(640 * 4 * 7) + 2] = 0xff;
        shared.Bytes[^1] = 0x55;
        StateRecorder.Restore(other, StateRecorder.Save(shared));
        other.Bytes.SequenceEqual(shared.Bytes).ShouldBeTrue();
        adapter.Output.Draw(ref picture, ref generation).ShouldBe((7, 8));
        picture.Pixels[640 * 7].ShouldBe(0xffff_0000);
    }

    /// <summary>An adapter in a mode of 640 by 480 points and 32 bits.</summary>
    private static VgaAdapter Direct(FrameBufferMemory memory)
    {
        VgaAdapter adapter = new(new FakeClock(), new ComparedFrameMemory(memory), new Lock());
        adapter.Display.Write(1, 640);
        adapter.Display.Write(2, 480);
        adapter.Display.Write(3, 32);
        adapter.Display.Write(4, 0x41);
        adapter.LegacyPorts.Write8(0x3c0 - VgaAdapter.Port, 0x20);
        return adapter;
    }
}
