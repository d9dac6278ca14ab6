namespace Ringfence.Devices.Virtio;

/// <summary>A source of entropy (Virtual I/O Device 1.2, 5.4).</summary>
/// <param name="name">Name in the machine's state.</param>
/// <param name="next">Makes 64 random bits.</param>
internal sealed class VirtioRandom(string name, Func<ulong> next) : VirtioDevice
{
    private const int MostBytes = 64 << 10;

    /// <inheritdoc/>
    public override string Name => name;

    /// <inheritdoc/>
    public override ushort DeviceId => 4;

    /// <inheritdoc/>
    public override uint ClassCode => 0xff_0000;

    /// <inheritdoc/>
    public override ulong Features => 0;

    /// <inheritdoc/>
    public override IReadOnlyList<int> QueueSizes { get; } = [8];

    /// <inheritdoc/>
    public override void ReadConfiguration(int offset, Span<byte> data) => data.Clear();

    /// <inheritdoc/>
    public override void Notify(int queue)
    {
        while (Transport.Queue(0).Take() is { } chain)
        {
            byte[] bytes = new byte[(int)Math.Min(chain.WritableLength, MostBytes)];
            for (int i = 0; i < bytes.Length; i += 8)
            {
                ulong value = next();
                for (int j = i; j < Math.Min(i + 8, bytes.Length); j++) bytes[j] = (byte)(value >> (8 * (j - i)));
            }

            chain.Write(0, bytes);
            Transport.Return(0, chain, (uint)bytes.Length);
        }
    }
}
