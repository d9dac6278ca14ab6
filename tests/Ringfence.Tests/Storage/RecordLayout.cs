using System.Buffers.Binary;
using Ringfence.Storage;

namespace Ringfence.Tests.Storage;

/// <summary>
/// Where the records lie that a killed process or guest wrote. A record is a slot's first bytes, filled with the slot's number and a version, 4 bytes each.
/// </summary>
/// <param name="Slots">Places for records.</param>
/// <param name="SlotBytes">Bytes from one to the next.</param>
/// <param name="RecordBytes">Bytes of a record.</param>
internal sealed record RecordLayout(int Slots, int SlotBytes, int RecordBytes)
{
    /// <summary>First byte behind the slots.</summary>
    public long End => (long)Slots * SlotBytes;

    /// <summary>A record.</summary>
    public byte[] Record(int slot, uint version)
    {
        byte[] data = new byte[RecordBytes];
        for (int at = 0; at < data.Length; at += 8)
        {
            BinaryPrimitives.WriteInt32LittleEndian(data.AsSpan(at), slot);
            BinaryPrimitives.WriteUInt32LittleEndian(data.AsSpan(at + 4), version);
        }

        return data;
    }

    /// <summary>The version of a record that is complete; a record of two versions (one not flushed) has the lower one. 0: there is none.</summary>
    public uint Version(BlockStore disk, int slot)
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
}
