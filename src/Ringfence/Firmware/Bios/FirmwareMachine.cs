using System.Buffers.Binary;

namespace Ringfence.Firmware.Bios;

/// <summary>Integers in memory and at ports, for the services.</summary>
/// <param name="platform">The machine.</param>
internal sealed class FirmwareMachine(IFirmwarePlatform platform)
{
    /// <summary>The machine.</summary>
    public IFirmwarePlatform Platform => platform;

    public byte In8(int port) => (byte)platform.ReadPort((ushort)port, 1);

    public ushort In16(int port) => (ushort)platform.ReadPort((ushort)port, 2);

    public uint In32(int port) => platform.ReadPort((ushort)port, 4);

    public void Out8(int port, int value) => platform.WritePort((ushort)port, 1, (byte)value);

    public void Out16(int port, int value) => platform.WritePort((ushort)port, 2, (ushort)value);

    public void Out32(int port, uint value) => platform.WritePort((ushort)port, 4, value);

    public void Read(ulong address, Span<byte> data) => platform.ReadMemory(address, data);

    public void Write(ulong address, ReadOnlySpan<byte> data) => platform.WriteMemory(address, data);

    public byte Read8(ulong address)
    {
        Span<byte> data = stackalloc byte[1];
        platform.ReadMemory(address, data);
        return data[0];
    }

    public ushort Read16(ulong address)
    {
        Span<byte> data = stackalloc byte[2];
        platform.ReadMemory(address, data);
        return BinaryPrimitives.ReadUInt16LittleEndian(data);
    }

    public uint Read32(ulong address)
    {
        Span<byte> data = stackalloc byte[4];
        platform.ReadMemory(address, data);
        return BinaryPrimitives.ReadUInt32LittleEndian(data);
    }

    public ulong Read64(ulong address)
    {
        Span<byte> data = stackalloc byte[8];
        platform.ReadMemory(address, data);
        return BinaryPrimitives.ReadUInt64LittleEndian(data);
    }

    public void Write8(ulong address, int value) => platform.WriteMemory(address, [(byte)value]);

    public void Write16(ulong address, int value) => platform.WriteMemory(address, [(byte)value, (byte)(value >> 8)]);

    public void Write32(ulong address, uint value)
    {
        Span<byte> data = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(data, value);
        platform.WriteMemory(address, data);
    }

    /// <summary>Zeroes memory.</summary>
    public void Clear(ulong address, int length)
    {
        Span<byte> zeros = stackalloc byte[256];
        zeros.Clear();
        for (int done = 0; done < length; done += zeros.Length) platform.WriteMemory(address + (ulong)done, zeros[..Math.Min(zeros.Length, length - done)]);
    }

    /// <summary>Reads a CMOS register.</summary>
    public byte ReadCmos(int register)
    {
        Out8(0x70, register);
        return In8(0x71);
    }

    /// <summary>Writes a CMOS register.</summary>
    public void WriteCmos(int register, int value)
    {
        Out8(0x70, register);
        Out8(0x71, value);
    }

    /// <summary>The segment of the extended BIOS data area as an address.</summary>
    public ulong Extension => (ulong)Read16(BiosData.ExtensionSegment) << 4;
}
