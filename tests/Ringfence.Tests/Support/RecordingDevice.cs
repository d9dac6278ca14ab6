using Ringfence.Devices;

namespace Ringfence.Tests.Support;

/// <summary>A device that is 4 KiB of memory and remembers every access.</summary>
internal sealed class RecordingDevice : IBusDevice
{
    private readonly byte[] _memory = new byte[4096];

    /// <summary>What was done, in order: reads and writes with offset, size and value.</summary>
    public List<DeviceOperation> Operations { get; } = [];

    /// <summary>The registers.</summary>
    public Span<byte> Memory => _memory;

    /// <summary>Called with each access's offset before it is made.</summary>
    public Action<ulong>? Accessed { get; set; }

    public void Read(ulong offset, Span<byte> data)
    {
        Accessed?.Invoke(offset);
        _memory.AsSpan((int)offset, data.Length).CopyTo(data);
        Operations.Add(new DeviceOperation(false, offset, data.Length, Value(data)));
    }

    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        Accessed?.Invoke(offset);
        data.CopyTo(_memory.AsSpan((int)offset));
        Operations.Add(new DeviceOperation(true, offset, data.Length, Value(data)));
    }

    private static ulong Value(ReadOnlySpan<byte> data)
    {
        ulong value = 0;
        for (int i = Math.Min(data.Length, 8) - 1; i >= 0; i--) value = (value << 8) | data[i];
        return value;
    }
}

/// <summary>One access to a <see cref="RecordingDevice"/>; of sixteen bytes the value is the lower eight.</summary>
internal readonly record struct DeviceOperation(bool IsWrite, ulong Offset, int Size, ulong Value);
