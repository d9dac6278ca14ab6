namespace Ringfence.Devices;

/// <summary>The debug console port: each byte written is output; a read gives E9h, by which guests find the port.</summary>
/// <param name="output">Called with each byte.</param>
internal sealed class DebugConsole(Action<byte> output) : ByteDevice
{
    /// <summary>The usual port.</summary>
    public const ushort Port = 0xe9;

    /// <summary>Where firmware written for QEMU's PC expects one.</summary>
    public const ushort FirmwarePort = 0x402;

    /// <inheritdoc/>
    protected override byte ReadByte(int offset) => 0xe9;

    /// <inheritdoc/>
    protected override void WriteByte(int offset, byte value) => output(value);
}
