using Ringfence.Storage;

namespace Ringfence.Tests.Firmware.Bios;

/// <summary>A disk in memory.</summary>
internal sealed class MemoryStore(byte[] bytes, bool isReadOnly = false) : BlockStore
{
    public byte[] Bytes => bytes;

    public override long Length => bytes.Length;

    public override bool IsReadOnly => isReadOnly;

    public override void Read(long offset, Span<byte> data) => bytes.AsSpan((int)offset, data.Length).CopyTo(data);

    public override void Write(long offset, ReadOnlySpan<byte> data) => data.CopyTo(bytes.AsSpan((int)offset));

    public override void WriteZeroes(long offset, long length) => bytes.AsSpan((int)offset, (int)length).Clear();

    public override void Flush()
    {
    }

    protected override void Dispose(bool disposing)
    {
    }
}
