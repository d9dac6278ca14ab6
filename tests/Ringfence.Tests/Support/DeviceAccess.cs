using System.Buffers.Binary;
using Ringfence.Devices;

namespace Ringfence.Tests.Support;

/// <summary>Accesses to a device's registers as integers.</summary>
internal static class DeviceAccess
{
    public static byte Read8(this IBusDevice device, ulong offset)
    {
        Span<byte> data = stackalloc byte[1];
        device.Read(offset, data);
        return data[0];
    }

    public static ushort Read16(this IBusDevice device, ulong offset)
    {
        Span<byte> data = stackalloc byte[2];
        device.Read(offset, data);
        return BinaryPrimitives.ReadUInt16LittleEndian(data);
    }

    public static uint Read32(this IBusDevice device, ulong offset)
    {
        Span<byte> data = stackalloc byte[4];
        device.Read(offset, data);
        return BinaryPrimitives.ReadUInt32LittleEndian(data);
    }

    public static void Write8(this IBusDevice device, ulong offset, int value) => device.Write(offset, [(byte)value]);

    public static void Write16(this IBusDevice device, ulong offset, int value) => device.Write(offset, [(byte)value, (byte)(value >> 8)]);

    public static void Write32(this IBusDevice device, ulong offset, uint value)
    {
        Span<byte> data = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(data, value);
        device.Write(offset, data);
    }
}
