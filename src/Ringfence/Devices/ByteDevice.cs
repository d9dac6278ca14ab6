namespace Ringfence.Devices;

/// <summary>A device whose registers are bytes: wider accesses are as many accesses of a byte, lowest address first, as on an 8-bit bus.</summary>
internal abstract class ByteDevice : IBusDevice
{
    /// <summary>Accesses that no correct driver makes.</summary>
    public ulong MisuseCount { get; protected set; }

    /// <inheritdoc/>
    public virtual void Read(ulong offset, Span<byte> data)
    {
        for (int i = 0; i < data.Length; i++) data[i] = ReadByte((int)offset + i);
    }

    /// <inheritdoc/>
    public virtual void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        for (int i = 0; i < data.Length; i++) WriteByte((int)offset + i, data[i]);
    }

    /// <summary>Reads the register at <paramref name="offset"/>.</summary>
    protected abstract byte ReadByte(int offset);

    /// <summary>Writes the register at <paramref name="offset"/>.</summary>
    protected abstract void WriteByte(int offset, byte value);
}
