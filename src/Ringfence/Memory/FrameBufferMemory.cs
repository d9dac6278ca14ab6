using Ringfence.Devices;
using Ringfence.Host;

namespace Ringfence.Memory;

/// <summary>Memory of a device that processors access as they access RAM, wherever the guest maps it.</summary>
internal sealed unsafe class FrameBufferMemory : IStateful, IDisposable
{
    private byte* _bytes;

    /// <summary>Makes zeroed memory.</summary>
    /// <param name="length">Bytes, a multiple of 4 KiB.</param>
    public FrameBufferMemory(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(length & 0xfff, 0);
        Length = length;
        File = NativeMemoryMap.CreateFile("guest-frame-buffer", (nuint)length);
        _bytes = NativeMemoryMap.MapFile(null, (nuint)length, NativeMemoryMap.ProtectRead | NativeMemoryMap.ProtectWrite, File, 0);
    }

    /// <summary>Bytes.</summary>
    public int Length { get; }

    /// <summary>The contents. Processors may write at the same time.</summary>
    public Span<byte> Bytes => new(_bytes, Length);

    /// <inheritdoc/>
    public string StateName => "video-memory";

    /// <inheritdoc/>
    public int StateVersion => 1;

    /// <summary>The host's file behind it.</summary>
    internal int File { get; }

    /// <summary>Visits the contents. While no processor runs; what is restored is found as what processors write is.</summary>
    public void DescribeState(IStateVisitor visitor) => visitor.Bytes("bytes", Bytes);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_bytes is null) return;
        NativeMemoryMap.Unmap(_bytes, (nuint)Length);
        NativeMemoryMap.CloseFile(File);
        _bytes = null;
    }
}
