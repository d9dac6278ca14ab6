using System.Buffers.Binary;
using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Execution.Translation.Listing;

/// <summary>
/// A processor with the compiler of translated code, in a mode to compile code of one size at CPL 0: real mode, or protected or 64-bit mode
/// with flat segments and the code's pages mapped. It executes nothing.
/// </summary>
internal sealed unsafe class ListingProcessor : IDisposable
{
    private const ulong MemoryBytes = 1 << 20;
    private const ulong FirstTable = 0x1000;
    private const ulong CodeFrames = 0x4_0000;
    private const uint PageMask = 0xfff;

    private readonly PhysicalMemory _memory = new(MemoryBytes);
    private ulong _nextTable = FirstTable;

    public ListingProcessor(ReadOnlySpan<byte> code, int bits, ulong origin)
    {
        Processor = new Processor(0, _memory, new NoBus());
        VcpuState* s = Processor.State;
        s->InstructionLimit = ulong.MaxValue;
        s->Cr0 = Cr0.Et;
        s->Cr4 = Cr4.Osfxsr | Cr4.Osxmmexcpt;
        if (bits == 16)
        {
            s->Segment(SegmentIndex.Cs) = s->Segment(SegmentIndex.Ds);
            _memory.Write(new GuestPhysical(origin), code);
        }
        else
        {
            EnterProtectedMode(s, bits == 64);
            Map(origin, (ulong)code.Length, bits == 64);
            _memory.Write(new GuestPhysical(CodeFrames + (origin & PageMask)), code);
        }

        Processor.RefreshMode();
        Cache = new TranslationCache(Processor, new CacheLimits());
        Compiler = new FragmentCompiler(Processor, Cache) { CodeEnd = origin + (ulong)code.Length };
        bool isFlat = bits == 64 || TranslationMode.IsFlatCodeSegment(s->Segment(SegmentIndex.Cs));
        Mode = TranslationMode.Of(s, isChecked: false, isCounting: false, simd: true, codeContext: isFlat ? 0U : 1);
    }

    /// <summary>The processor.</summary>
    public Processor Processor { get; }

    /// <summary>Where its code goes.</summary>
    public TranslationCache Cache { get; }

    /// <summary>What compiles it.</summary>
    public FragmentCompiler Compiler { get; }

    /// <summary>Its mode; the XMM registers are in the host's, as they are once a guest uses them.</summary>
    public TranslationMode Mode { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Compiler.Dispose();
        Cache.Dispose();
        Processor.Dispose();
        _memory.Dispose();
    }

    private static void EnterProtectedMode(VcpuState* s, bool isLong)
    {
        const ushort Data = SegmentAttributes.Present | SegmentAttributes.CodeOrData | SegmentAttributes.ReadableOrWritable
            | SegmentAttributes.Accessed | SegmentAttributes.Big | SegmentAttributes.Granularity;
        const ushort Code = (Data | SegmentAttributes.Code) & ~SegmentAttributes.Big;
        for (SegmentIndex index = SegmentIndex.Es; index <= SegmentIndex.Gs; index++)
        {
            ushort attributes = index != SegmentIndex.Cs ? Data : (ushort)(Code | (isLong ? SegmentAttributes.Long : SegmentAttributes.Big));
            s->Segment(index) = new SegmentRegister(8, 0, uint.MaxValue, attributes);
        }

        s->Cr0 |= Cr0.Pe | Cr0.Mp | Cr0.Ne | Cr0.Wp | Cr0.Pg;
        if (!isLong) return;
        s->Cr4 |= Cr4.Pae;
        s->Efer = Efer.Lme | Efer.Lma;
    }

    /// <summary>Maps the pages of the code: 4-level paging, or 2 levels with 32-bit entries (Intel SDM 3A 4.3, 4.5).</summary>
    private void Map(ulong origin, ulong length, bool isLong)
    {
        int levels = isLong ? 4 : 2;
        int bitsOfLevel = isLong ? 9 : 10;
        uint entryBytes = isLong ? 8U : 4U;
        ulong root = NewTable();
        Processor.State->Cr3 = root;
        ulong first = origin & ~(ulong)PageMask;
        ulong last = (origin + length - 1) & ~(ulong)PageMask;
        for (ulong done = 0; done <= last - first; done += PageMask + 1)
        {
            ulong table = root;
            for (int level = levels - 1; level >= 0; level--)
            {
                ulong slot = (first + done) >> (12 + (level * bitsOfLevel)) & ((1UL << bitsOfLevel) - 1);
                ulong entry = table + (slot * entryBytes);
                if (level == 0) SetEntry(entry, CodeFrames + done);
                else if (Entry(entry) == 0) SetEntry(entry, NewTable());
                table = Entry(entry) & ~(ulong)PageMask;
            }
        }
    }

    private ulong NewTable()
    {
        ulong table = _nextTable;
        _nextTable += PageMask + 1;
        return table;
    }

    private uint Entry(ulong address)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        _memory.Read(new GuestPhysical(address), bytes);
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    private void SetEntry(ulong address, ulong target)
    {
        const uint PresentWritable = 3;
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)target | PresentWritable);
        _memory.Write(new GuestPhysical(address), bytes);
    }
}
