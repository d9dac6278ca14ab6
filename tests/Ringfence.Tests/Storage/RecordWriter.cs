using System.Buffers.Binary;
using Ringfence.Storage;

namespace Ringfence.Tests.Storage;

/// <summary>
/// Writes records to an image for ever and says which ones are safe: the process that <see cref="CrashTests"/> kills. A record is a slot of a few
/// sectors filled with the slot's number and a version; a line "slot version" is printed when it was flushed.
/// </summary>
internal static class RecordWriter
{
    public const int Slots = 1000;
    public const int SlotBytes = 24 << 10;
    private const int RecordBytes = 8 << 10;

    public static void Run(string path, int seed)
    {
        using BlockStore disk = DiskImage.Open(path);
        using Stream output = Console.OpenStandardOutput();
        Random random = new(seed);
        uint[] versions = new uint[Slots];
        for (int i = 0; i < Slots; i++) versions[i] = Version(disk, i);
        output.Write("ready\n"u8);
        while (true)
        {
            List<int> written = [];
            for (int i = random.Next(1, 6); i > 0; i--)
            {
                int slot = random.Next(Slots);
                if (random.Next(8) == 0) disk.WriteZeroes((long)slot * SlotBytes + RecordBytes, SlotBytes - RecordBytes);
                disk.Write((long)slot * SlotBytes, Record(slot, ++versions[slot]));
                written.Add(slot);
            }

            disk.Flush();
            foreach (int slot in written) output.Write(System.Text.Encoding.ASCII.GetBytes($"{slot} {versions[slot]}\n"));
        }
    }

    /// <summary>The version of a record that is complete; a record of two versions (one not flushed) has the lower one.</summary>
    public static uint Version(BlockStore disk, int slot)
    {
        byte[] data = new byte[RecordBytes];
        disk.Read((long)slot * SlotBytes, data);
        uint lowest = uint.MaxValue;
        for (int at = 0; at < data.Length; at += 8)
        {
            uint version = BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan(at + 4));
            lowest = Math.Min(lowest, version);
            if (version != 0 && BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan(at)) != slot) throw new InvalidDataException($"Slot {slot} holds something else.");
        }

        return lowest;
    }

    private static byte[] Record(int slot, uint version)
    {
        byte[] data = new byte[RecordBytes];
        for (int at = 0; at < data.Length; at += 8)
        {
            BinaryPrimitives.WriteInt32LittleEndian(data.AsSpan(at), slot);
            BinaryPrimitives.WriteUInt32LittleEndian(data.AsSpan(at + 4), version);
        }

        return data;
    }
}
