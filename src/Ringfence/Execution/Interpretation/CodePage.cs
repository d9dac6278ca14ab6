namespace Ringfence.Execution.Interpretation;

/// <summary>The decoded code of one physical page, for one code size.</summary>
internal sealed unsafe class CodePage(ulong frame, int kind, uint* entries)
{
    /// <summary>Bytes of a page's table of entries: one index an offset.</summary>
    public const int EntryBytes = 4096 * sizeof(uint);

    /// <summary>Physical frame number.</summary>
    public ulong Frame { get; } = frame;

    /// <summary>0: 16-bit, 1: 32-bit, 2: 64-bit code.</summary>
    public int Kind { get; } = kind;

    /// <summary>Index into the arena of the block that begins at each offset; 0 if none.</summary>
    public uint* Entries { get; } = entries;

    /// <summary>The page's 64-byte lines that hold decoded bytes.</summary>
    public ulong Lines { get; set; }

    /// <summary>Blocks: first operation and count, sentinel included.</summary>
    public List<(uint First, int Count)> Blocks { get; } = [];

    /// <summary>The lines that [offset, offset + length) of a page touches.</summary>
    public static ulong LinesOf(int offset, int length)
    {
        int first = offset >> 6;
        int last = Math.Min(offset + length - 1, 4095) >> 6;
        return (ulong.MaxValue >> (63 - last)) & (ulong.MaxValue << first);
    }
}
