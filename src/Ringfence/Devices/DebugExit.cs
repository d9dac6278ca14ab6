namespace Ringfence.Devices;

/// <summary>The isa-debug-exit port: a guest that writes v ends the run with exit code (v &lt;&lt; 1) | 1. Reads give zeros.</summary>
/// <param name="exit">Called with the exit code, 32 bits; a process keeps the low 8.</param>
internal sealed class DebugExit(Action<int> exit) : IBusDevice
{
    /// <summary>The usual port.</summary>
    public const ushort Port = 0xf4;

    /// <summary>Number of ports.</summary>
    public const int PortLength = 4;

    /// <inheritdoc/>
    public void Read(ulong offset, Span<byte> data) => data.Clear();

    /// <inheritdoc/>
    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (offset != 0) return;
        uint value = 0;
        for (int i = 0; i < Math.Min(data.Length, 4); i++) value |= (uint)data[i] << (8 * i);
        exit((int)((value << 1) | 1));
    }
}
