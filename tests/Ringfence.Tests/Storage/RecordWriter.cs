using Ringfence.Storage;

namespace Ringfence.Tests.Storage;

/// <summary>
/// Writes records to an image for ever and says which ones are safe: the process that <see cref="CrashTests"/> kills. A line "slot version" is printed when it was flushed.
/// </summary>
internal static class RecordWriter
{
    public static readonly RecordLayout Layout = new(Slots: 1000, SlotBytes: 24 << 10, RecordBytes: 8 << 10);

    public static void Run(string path, int seed)
    {
        using BlockStore disk = DiskImage.Open(path);
        using Stream output = Console.OpenStandardOutput();
        Random random = new(seed);
        uint[] versions = new uint[Layout.Slots];
        for (int i = 0; i < Layout.Slots; i++) versions[i] = Layout.Version(disk, i);
        output.Write("ready\n"u8);
        while (true)
        {
            List<int> written = [];
            for (int i = random.Next(1, 6); i > 0; i--)
            {
                int slot = random.Next(Layout.Slots);
                if (random.Next(8) == 0) disk.WriteZeroes((long)slot * Layout.SlotBytes + Layout.RecordBytes, Layout.SlotBytes - Layout.RecordBytes);
                disk.Write((long)slot * Layout.SlotBytes, Layout.Record(slot, ++versions[slot]));
                written.Add(slot);
            }

            disk.Flush();
            foreach (int slot in written) output.Write(System.Text.Encoding.ASCII.GetBytes($"{slot} {versions[slot]}\n"));
        }
    }
}
