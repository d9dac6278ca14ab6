namespace Ringfence.Devices;

/// <summary>One of several separate port ranges of a device.</summary>
/// <param name="read">Reads the byte at an offset.</param>
/// <param name="write">Writes the byte at an offset.</param>
internal sealed class BytePorts(Func<int, byte> read, Action<int, byte> write) : ByteDevice
{
    /// <inheritdoc/>
    protected override byte ReadByte(int offset) => read(offset);

    /// <inheritdoc/>
    protected override void WriteByte(int offset, byte value) => write(offset, value);
}
