using Ringfence.Storage;

namespace Ringfence.Tests.Support;

/// <summary>A medium in memory that counts what is done to it.</summary>
internal sealed class MemoryStore(byte[] data, bool isReadOnly = false) : BlockStore
{
    public byte[] Data => data;

    public int Flushes { get; private set; }

    public override long Length => data.Length;

    public override bool IsReadOnly => isReadOnly;

    public override void Read(long offset, Span<byte> target) => data.AsSpan((int)offset, target.Length).CopyTo(target);

    public override void Write(long offset, ReadOnlySpan<byte> source) => source.CopyTo(data.AsSpan((int)offset, source.Length));

    public override void WriteZeroes(long offset, long length) => data.AsSpan((int)offset, (int)length).Clear();

    public override void Flush() => Flushes++;

    protected override void Dispose(bool disposing)
    {
    }
}
