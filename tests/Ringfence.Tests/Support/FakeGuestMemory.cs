using Ringfence.Devices;

namespace Ringfence.Tests.Support;

/// <summary>Guest memory of a given size from address 0; elsewhere are ones.</summary>
internal sealed class FakeGuestMemory(int length) : IGuestMemory
{
    public byte[] Data { get; } = new byte[length];

    public void Read(ulong address, Span<byte> data)
    {
        for (int i = 0; i < data.Length; i++)
        {
            ulong at = address + (ulong)i;
            data[i] = at < (ulong)Data.Length ? Data[at] : (byte)0xff;
        }
    }

    public void Write(ulong address, ReadOnlySpan<byte> data)
    {
        for (int i = 0; i < data.Length; i++)
        {
            ulong at = address + (ulong)i;
            if (at < (ulong)Data.Length) Data[at] = data[i];
        }
    }
}
