namespace Ringfence.Devices.Video;

/// <summary>An expansion ROM: reads give its bytes, then ones; writes change nothing.</summary>
/// <param name="image">Its bytes.</param>
internal sealed class RomImage(byte[] image) : IBusDevice
{
    /// <summary>Bytes decoded: the least power of two that holds the image, at least the 2 KiB of the smallest.</summary>
    public uint DecodedLength { get; } = Math.Max(2048, System.Numerics.BitOperations.RoundUpToPowerOf2((uint)image.Length));

    /// <inheritdoc/>
    public void Read(ulong offset, Span<byte> data)
    {
        data.Fill(0xff);
        if (offset >= (ulong)image.Length) return;
        int length = Math.Min(data.Length, image.Length - (int)offset);
        image.AsSpan((int)offset, length).CopyTo(data);
    }

    /// <inheritdoc/>
    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
    }
}
