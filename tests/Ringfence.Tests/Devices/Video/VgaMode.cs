namespace Ringfence.Tests.Devices.Video;

/// <summary>Registers of a mode of the IBM VGA.</summary>
internal sealed record VgaMode(byte Miscellaneous, byte[] Sequencer, byte[] Crtc, byte[] Graphics, byte[] Attributes)
{
    private const string Colors = "00 01 02 03 04 05 14 07 38 39 3a 3b 3c 3d 3e 3f ";

    public static VgaMode Text { get; } = Parse(
        0x67, "03 00 03 00 02", "5f 4f 50 82 55 81 bf 1f 00 4f 0d 0e 00 00 00 00 9c 8e 8f 28 1f 96 b9 a3 ff", "00 00 00 00 00 10 0e 00 ff", Colors + "0c 00 0f 08 00");

    public static VgaMode Cga4 { get; } = Parse(
        0x63, "03 09 03 00 02", "2d 27 28 90 2b 80 bf 1f 00 c1 00 00 00 00 00 00 9c 8e 8f 14 00 96 b9 a2 ff", "00 00 00 00 00 30 0f 00 ff",
        "00 13 15 17 02 04 06 07 10 11 12 13 14 15 16 17 01 00 03 00 00");

    public static VgaMode Cga2 { get; } = Parse(
        0x63, "03 01 01 00 06", "5f 4f 50 82 54 80 bf 1f 00 c1 00 00 00 00 00 00 9c 8e 8f 28 00 96 b9 c2 ff", "00 00 00 00 00 00 0d 00 ff",
        "00 17 17 17 17 17 17 17 17 17 17 17 17 17 17 17 01 00 01 00 00");

    public static VgaMode Planar320 { get; } = Parse(
        0x63, "03 09 0f 00 06", "2d 27 28 90 2b 80 bf 1f 00 c0 00 00 00 00 00 00 9c 8e 8f 14 00 96 b9 e3 ff", "00 00 00 00 00 00 05 0f ff", Colors + "01 00 0f 00 00");

    public static VgaMode Planar640 { get; } = Parse(
        0xe3, "03 01 0f 00 06", "5f 4f 50 82 54 80 0b 3e 00 40 00 00 00 00 00 00 ea 8c df 28 00 e7 04 e3 ff", "00 00 00 00 00 00 05 0f ff", Colors + "01 00 0f 00 00");

    public static VgaMode Mode13 { get; } = Parse(
        0x63, "03 01 0f 00 0e", "5f 4f 50 82 54 80 bf 1f 00 41 00 00 00 00 00 00 9c 8e 8f 28 40 96 b9 a3 ff", "00 00 00 00 00 40 05 0f ff",
        "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 41 00 0f 00 00");

    private static VgaMode Parse(byte miscellaneous, string sequencer, string crtc, string graphics, string attributes) =>
        new(miscellaneous, Bytes(sequencer), Bytes(crtc), Bytes(graphics), Bytes(attributes));

    private static byte[] Bytes(string text) => Convert.FromHexString(text.Replace(" ", ""));
}
