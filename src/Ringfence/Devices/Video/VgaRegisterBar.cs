using System.Buffers.Binary;

namespace Ringfence.Devices.Video;

/// <summary>
/// The adapter's registers in memory (QEMU's docs/specs/standard-vga, "MMIO area spec"): the EDID at 0, ports 3C0h to 3DFh at 400h, the registers of
/// the Bochs extensions at 500h, and at 600h the size of QEMU's extended registers followed by the frame buffer's byte order.
/// </summary>
/// <param name="edid">The monitor's description.</param>
/// <param name="ports">The VGA's ports from <see cref="VgaAdapter.Port"/> on.</param>
/// <param name="display">The Bochs extensions.</param>
internal sealed class VgaRegisterBar(byte[] edid, IBusDevice ports, BochsDisplay display) : IBusDevice
{
    /// <summary>Bytes decoded.</summary>
    public const int Length = 4096;

    private const int EdidEnd = 0x400;
    private const int PortsEnd = 0x420;
    private const int FirstPort = 0x3c0;
    private const int Display = 0x500;
    private const int DisplayEnd = Display + (2 * BochsDisplay.RegisterCount);
    private const int Extended = 0x600;
    private const int ExtendedLength = 8;
    private const int ByteOrder = 4;
    private const uint LittleEndian = 0x1e1e_1e1e;
    private const uint BigEndian = 0xbebe_bebe;

    /// <summary>Accesses where there is nothing.</summary>
    public ulong MisuseCount { get; private set; }

    /// <inheritdoc/>
    public void Read(ulong offset, Span<byte> data)
    {
        for (int i = 0; i < data.Length; i++) data[i] = ReadByte((int)offset + i);
    }

    /// <inheritdoc/>
    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        int at = (int)offset;
        if (at is >= EdidEnd and < PortsEnd)
        {
            // A word is an index and its data.
            for (int i = 0; i < data.Length && at + i < PortsEnd; i++) ports.Write((ulong)(FirstPort - VgaAdapter.Port + at + i - EdidEnd), data.Slice(i, 1));
        }
        else if (at is >= Display and < DisplayEnd && (at & 1) == 0 && data.Length >= 2)
        {
            for (int i = 0; i + 1 < data.Length && at + i < DisplayEnd; i += 2)
                display.Write((at + i - Display) / 2, BinaryPrimitives.ReadUInt16LittleEndian(data[i..]));
        }
        else if (at == Extended + ByteOrder && data.Length == 4)
        {
            WriteByteOrder(BinaryPrimitives.ReadUInt32LittleEndian(data));
        }
        else
        {
            MisuseCount++;
        }
    }

    private byte ReadByte(int at)
    {
        if (at < EdidEnd) return at < edid.Length ? edid[at] : (byte)0;
        if (at < PortsEnd)
        {
            Span<byte> value = stackalloc byte[1];
            ports.Read((ulong)(FirstPort - VgaAdapter.Port + at - EdidEnd), value);
            return value[0];
        }

        if (at is >= Display and < DisplayEnd) return (byte)(display.Read((at - Display) / 2) >> (8 * (at & 1)));
        if (at is >= Extended and < Extended + ByteOrder) return (byte)(ExtendedLength >> (8 * (at - Extended)));
        if (at is >= Extended + ByteOrder and < Extended + ExtendedLength) return (byte)(display.IsBigEndian ? BigEndian : LittleEndian);
        MisuseCount++;
        return 0xff;
    }

    private void WriteByteOrder(uint value)
    {
        if (value is LittleEndian or BigEndian) display.IsBigEndian = value == BigEndian;
        else MisuseCount++;
    }
}
