using Ringfence.Devices.Video;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices.Video;

/// <summary>An adapter, and a driver for it.</summary>
internal sealed class VgaFixture
{
    public const uint White = 0xffff_ffff;
    public const uint Black = 0xff00_0000;

    private VideoPicture _picture;
    private long _generation;

    public VgaFixture(int memory = 1 << 20)
    {
        Memory = new FrameMemory(memory);
        Adapter = new VgaAdapter(Clock, Memory, new Lock());
    }

    public FakeClock Clock { get; } = new();

    public FrameMemory Memory { get; }

    public VgaAdapter Adapter { get; }

    public IVideoOutput Output => Adapter.Output;

    public long LinesDrawn => ((VideoRenderer)Adapter.Output).LinesDrawn;

    public VideoPicture Picture => _picture;

    public int In(int port) => Adapter.LegacyPorts.Read8((ulong)(port - VgaAdapter.Port));

    public void Out(int port, int value) => Adapter.LegacyPorts.Write8((ulong)(port - VgaAdapter.Port), value);

    public void Out16(int port, int value) => Adapter.LegacyPorts.Write16((ulong)(port - VgaAdapter.Port), value);

    public void Sequencer(int index, int value) => Out16(0x3c4, index | (value << 8));

    public void Graphics(int index, int value) => Out16(0x3ce, index | (value << 8));

    public void Crtc(int index, int value) => Out16(0x3d4, index | (value << 8));

    public void Attribute(int index, int value)
    {
        In(0x3da);
        Out(0x3c0, index | 0x20);
        Out(0x3c0, value);
    }

    public void Color(int index, int red, int green, int blue)
    {
        Out(0x3c8, index);
        foreach (int component in (int[])[red, green, blue]) Out(0x3c9, component);
    }

    public int Dispi(int index)
    {
        Adapter.Display.Write16(0, index);
        return Adapter.Display.Read16(1);
    }

    public void Dispi(int index, int value)
    {
        Adapter.Display.Write16(0, index);
        Adapter.Display.Write16(1, value);
    }

    /// <summary>Sets a mode of the Bochs extensions.</summary>
    public void SetPacked(int width, int height, int bits, int flags = 0x41)
    {
        Dispi(4, 0);
        Dispi(1, width);
        Dispi(2, height);
        Dispi(3, bits);
        Dispi(4, flags);
        Out(0x3c0, 0x20);
    }

    public int Read(int address) => Adapter.LegacyWindow.Read8((ulong)address - VgaAdapter.WindowAddress);

    public void Write(int address, int value) => Adapter.LegacyWindow.Write8((ulong)address - VgaAdapter.WindowAddress, value);

    public byte Plane(int plane, int offset) => Memory.Bytes[(4 * offset) + plane];

    public (int First, int End) Draw() => Output.Draw(ref _picture, ref _generation);

    public uint Pixel(int x, int y) => _picture.Pixels[(y * _picture.Width) + x];

    /// <summary>Writes all registers of a mode, as the tables of the IBM VGA's BIOS have them, and loads a gray palette.</summary>
    public void SetMode(VgaMode mode)
    {
        Out(0x3c2, mode.Miscellaneous);
        for (int i = 0; i < mode.Sequencer.Length; i++) Sequencer(i, mode.Sequencer[i]);
        Crtc(0x11, 0);
        for (int i = 0; i < mode.Crtc.Length; i++) Crtc(i, mode.Crtc[i]);
        for (int i = 0; i < mode.Graphics.Length; i++) Graphics(i, mode.Graphics[i]);
        for (int i = 0; i < mode.Attributes.Length; i++) Attribute(i, mode.Attributes[i]);
        for (int i = 0; i < 256; i++) Color(i, i & 63, i & 63, i & 63);
    }

    /// <summary>Loads the picture of a character, 16 lines, into a font.</summary>
    public void LoadGlyph(int font, int character, params ReadOnlySpan<byte> lines)
    {
        (int sequencer2, int sequencer4, int graphics5, int graphics6) = (SequencerValue(2), SequencerValue(4), GraphicsValue(5), GraphicsValue(6));
        Sequencer(2, 4);
        Sequencer(4, 7);
        Graphics(5, 0);
        Graphics(6, 4);
        for (int i = 0; i < lines.Length; i++) Write(0xa0000 + (font * 0x4000) + (character * 32) + i, lines[i]);
        Sequencer(2, sequencer2);
        Sequencer(4, sequencer4);
        Graphics(5, graphics5);
        Graphics(6, graphics6);
    }

    /// <summary>A rectangle of the picture, one color as '#', everything else as '.'.</summary>
    public string[] Shape(int left, int top, int width, int height, uint color) =>
        [.. Enumerable.Range(top, height).Select(y => string.Concat(Enumerable.Range(left, width).Select(x => Pixel(x, y) == color ? '#' : '.')))];

    private int SequencerValue(int index)
    {
        Out(0x3c4, index);
        return In(0x3c5);
    }

    private int GraphicsValue(int index)
    {
        Out(0x3ce, index);
        return In(0x3cf);
    }
}
