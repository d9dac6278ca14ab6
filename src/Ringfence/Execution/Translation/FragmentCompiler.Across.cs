using Iced.Intel;
using Ringfence.Host;

namespace Ringfence.Execution.Translation;

/// <summary>
/// Units of one instruction that continues in the next page. They depend on both pages: a write to either throws them away, and they check
/// before each execution that the second one's mapping is known to be right.
/// </summary>
internal sealed unsafe partial class FragmentCompiler : IDisposable
{
    private const int LongestInstruction = 15;

    private readonly byte* _joined = NativeMemoryMap.Allocate(PageBytes);
    private CodePage? _across;

    /// <inheritdoc/>
    public void Dispose() => NativeMemoryMap.Unmap(_joined, PageBytes);

    /// <summary>
    /// Compiles the instruction at an offset of a page that continues in another, the next in the linear address space. 0: it is not
    /// translated, or is a call-out, which would need its bytes in one piece.
    /// </summary>
    public int CompileAcross(CodePage page, CodePage next, int offset, ulong rip)
    {
        if (CodeEnd != ulong.MaxValue) return 0;
        int first = PageBytes - offset;
        Begin(page, offset, rip, out _);
        new ReadOnlySpan<byte>(_guest, first).CopyTo(new Span<byte>(_joined, first));
        new ReadOnlySpan<byte>(_cache.Watch(next), LongestInstruction).CopyTo(new Span<byte>(_joined + first, LongestInstruction));
        _guest = _joined;
        Decoder decoder = _decoders[_mode.Kind];
        _bytes.Set(_guest, first + LongestInstruction);
        decoder.IP = rip;
        decoder.Decode(out _unit[0]);
        ref Instruction instruction = ref _unit[0];
        if (decoder.LastError == DecoderError.NoMoreBytes || instruction.IsInvalid || SwitchesMode(instruction)) return 0;
        TranslationKind kind = KindOf(instruction);
        if (kind is TranslationKind.CallOut or TranslationKind.X87 || (kind == TranslationKind.Simd && !_mode.IsSimd)) return 0;
        _kinds[0] = kind;
        _across = next;
        int index = Compile(page, offset, rip, 1, instruction.Length);
        _across = null;
        _cache.AddAcross(next, index);
        return index;
    }

    /// <summary>Leaves if the second page's mapping must be looked at again.</summary>
    private void EmitAcrossCheck(CodePage next)
    {
        EmitCompareEpoch(_main, next);
        int site = NewSite(SiteKind.Across);
        Site* s = _cache.Sites + site;
        s->FlagsSaved = true;
        s->Distance = next.Index;
        _main.WriteBranch(_code.JumpIfNotEqual, _rare.Offset);
        _rare.Write(_code.PushSite, site);
        _rare.WriteBranch(_code.Jump, _exits.ExitSaved);
    }

    /// <summary>"Not equal" if a page's mapping must be looked at again. Changes R14.</summary>
    private void EmitCompareEpoch(CodeStream stream, CodePage page)
    {
        stream.Write([0x44, 0x8b, 0x35, 0, 0, 0, 0]);
        stream.Patch(stream.Offset - sizeof(int), TranslationCache.EpochOffset(page));
        stream.Write(page.IsGlobal ? _code.CompareGlobalEpoch : _code.CompareEpoch);
    }
}
