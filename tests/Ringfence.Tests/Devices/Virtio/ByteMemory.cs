using System.Buffers.Binary;
using Ringfence.Devices;

namespace Ringfence.Tests.Devices.Virtio;

/// <summary>Guest memory that is an array; what lies beyond reads as ones.</summary>
internal sealed class ByteMemory(int length) : IGuestMemory
{
    public byte[] Bytes { get; } = new byte[length];

    public void Read(ulong address, Span<byte> data)
    {
        data.Fill(0xff);
        if (address >= (ulong)Bytes.Length) return;
        int count = (int)Math.Min((ulong)data.Length, (ulong)Bytes.Length - address);
        Bytes.AsSpan((int)address, count).CopyTo(data);
    }

    public void Write(ulong address, ReadOnlySpan<byte> data)
    {
        if (address >= (ulong)Bytes.Length) return;
        int count = (int)Math.Min((ulong)data.Length, (ulong)Bytes.Length - address);
        data[..count].CopyTo(Bytes.AsSpan((int)address));
    }

    public ushort Read16(ulong address) => BinaryPrimitives.ReadUInt16LittleEndian(Bytes.AsSpan((int)address));

    public uint Read32(ulong address) => BinaryPrimitives.ReadUInt32LittleEndian(Bytes.AsSpan((int)address));

    public void Write16(ulong address, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Bytes.AsSpan((int)address), value);

    public void Write32(ulong address, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Bytes.AsSpan((int)address), value);

    public void Write64(ulong address, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Bytes.AsSpan((int)address), value);
}
