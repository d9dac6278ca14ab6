using System.Buffers.Binary;
using Ringfence.Devices;
using Ringfence.Devices.Virtio;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices.Virtio;

/// <summary>A driver's side of a virtio function: its registers and its queues in memory.</summary>
internal sealed class VirtioGuest
{
    public const ulong Descriptors = 0x1000;
    public const ulong Available = 0x2000;
    public const ulong Used = 0x3000;
    public const int Entries = 8;

    // From one queue's tables to the next one's.
    public const ulong QueueStride = 0x1_0000;

    private readonly int[] _next;

    public VirtioGuest(VirtioDevice device)
    {
        _next = new int[device.QueueSizes.Count];
        Function = new VirtioFunction(device, Memory, (address, data) => Messages.Add((address, data)))
        {
            Interrupt = new InterruptLine(level => Pin = level),
        };
    }

    public FakeGuestMemory Memory { get; } = new(1 << 20);

    public VirtioFunction Function { get; }

    public List<(ulong Address, uint Data)> Messages { get; } = [];

    public bool Pin { get; private set; }

    public ushort UsedIndex => UsedIndexOf(0);

    public ulong Read(int offset, int size)
    {
        byte[] data = new byte[8];
        Function.Read((ulong)offset, data.AsSpan(0, size));
        return BinaryPrimitives.ReadUInt64LittleEndian(data);
    }

    public void Write(int offset, int size, ulong value)
    {
        byte[] data = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(data, value);
        Function.Write((ulong)offset, data.AsSpan(0, size));
    }

    public ushort UsedIndexOf(int queue) => Read16(Used + (QueueStride * (ulong)queue) + 2);

    public ushort Read16(ulong address) => BinaryPrimitives.ReadUInt16LittleEndian(Memory.Data.AsSpan((int)address));

    public uint Read32(ulong address) => BinaryPrimitives.ReadUInt32LittleEndian(Memory.Data.AsSpan((int)address));

    public void Write16(ulong address, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Memory.Data.AsSpan((int)address), value);

    public void Write32(ulong address, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Memory.Data.AsSpan((int)address), value);

    public void Write64(ulong address, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Memory.Data.AsSpan((int)address), value);

    /// <summary>Goes through initialization (3.1.1) with the features asked for, and sets the queues up.</summary>
    public bool Start(ulong features = 1UL << 32)
    {
        Write(0x14, 1, 0);
        Write(0x14, 1, 3);
        Write(0x08, 4, 0);
        Write(0x0c, 4, (uint)features);
        Write(0x08, 4, 1);
        Write(0x0c, 4, features >> 32);
        Write(0x14, 1, 11);
        if ((Read(0x14, 1) & 8) == 0) return false;
        for (int queue = 0; queue < _next.Length; queue++)
        {
            ulong start = QueueStride * (ulong)queue;
            Write(0x16, 2, (ulong)queue);
            Write(0x18, 2, Entries);
            Write(0x20, 8, start + Descriptors);
            Write(0x28, 4, start + Available);
            Write(0x2c, 4, 0);
            Write(0x30, 8, start + Used);
            Write(0x1c, 2, 1);
        }

        Write(0x14, 1, 15);
        return true;
    }

    /// <summary>Describes a buffer.</summary>
    public void Describe(int index, ulong address, int length, bool writable, int next = -1, ulong table = Descriptors)
    {
        ulong at = table + (ulong)(index * 16);
        Write64(at, address);
        Write32(at + 8, (uint)length);
        Write16(at + 12, (ushort)((next >= 0 ? 1 : 0) | (writable ? 2 : 0)));
        Write16(at + 14, (ushort)Math.Max(next, 0));
    }

    /// <summary>Makes a chain available and tells the device.</summary>
    public void Offer(int head, int queue = 0)
    {
        ulong ring = Available + (QueueStride * (ulong)queue);
        Write16(ring + 4 + (2UL * (ulong)(_next[queue] & (Entries - 1))), (ushort)head);
        _next[queue]++;
        Write16(ring + 2, (ushort)_next[queue]);
        Write(0x3000 + (4 * queue), 2, (ulong)queue);
    }

    /// <summary>One step of a driver without sense.</summary>
    public void TakeRandomStep(Random random)
    {
        int queue = random.Next(_next.Length);
        switch (random.Next(5))
        {
            case 0:
                Write(random.Next(0x4000), 1 << random.Next(4), (ulong)random.NextInt64());
                break;
            case 1:
                Read(random.Next(0x4000), 1 << random.Next(4));
                break;
            case 2:
                Function.Write(random.Next(256), 1 << random.Next(3), (uint)random.Next());
                break;
            case 3:
                ulong table = Descriptors + (QueueStride * (ulong)queue);
                Describe(random.Next(8), (ulong)random.NextInt64(1 << 21), random.Next(1 << 16), random.Next(2) == 0, random.Next(-1, 8), table);
                break;
            default:
                Offer(random.Next(12), queue);
                break;
        }
    }
}
