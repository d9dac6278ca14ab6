using System.Buffers.Binary;

namespace Ringfence.Devices.Storage;

/// <summary>The 256 words that IDENTIFY DEVICE and IDENTIFY PACKET DEVICE send (ATA/ATAPI-6, 8.15 and 8.16).</summary>
internal sealed class AtaIdentity
{
    private readonly byte[] _data = new byte[512];

    /// <summary>A word.</summary>
    public int this[int word]
    {
        get => BinaryPrimitives.ReadUInt16LittleEndian(_data.AsSpan(2 * word));
        set => BinaryPrimitives.WriteUInt16LittleEndian(_data.AsSpan(2 * word), (ushort)value);
    }

    /// <summary>Fills in what all our devices have in common.</summary>
    /// <param name="serial">Serial number, at most 20 characters.</param>
    /// <param name="model">Model, at most 40 characters.</param>
    /// <param name="transferMode">Mode chosen by SET FEATURES.</param>
    public void Describe(string serial, string model, byte transferMode)
    {
        Text(10, 10, serial);
        Text(23, 4, "1.0");
        Text(27, 20, model);
        this[49] = 0x0f00;
        this[50] = 0x4000;
        this[51] = this[52] = 0x0200;
        this[53] = 0x0007;
        this[63] = 0x0007 | Selected(transferMode, 0x20);
        this[64] = 0x0003;
        this[65] = this[66] = this[67] = this[68] = 120;
        this[80] = 0x00f0;
        this[88] = 0x003f | Selected(transferMode, 0x40);
        this[93] = 0x6001;
    }

    /// <summary>A number of two words.</summary>
    public void SetDouble(int word, uint value)
    {
        this[word] = (ushort)value;
        this[word + 1] = (ushort)(value >> 16);
    }

    /// <summary>The words as bytes, with their checksum.</summary>
    public byte[] ToBytes()
    {
        this[255] = 0xa5;
        byte sum = 0;
        foreach (byte value in _data) sum += value;
        _data[511] = (byte)-sum;
        return _data;
    }

    private static int Selected(byte mode, int family) => (mode & 0xf8) == family ? 0x100 << (mode & 7) : 0;

    /// <summary>Text stands high byte first in its words.</summary>
    private void Text(int word, int words, string text)
    {
        for (int i = 0; i < 2 * words; i++) _data[(2 * word) + (i ^ 1)] = (byte)(i < text.Length ? text[i] : ' ');
    }
}
