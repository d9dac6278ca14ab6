using Iced.Intel;
using Ringfence.Execution.Translation.Listing;

namespace Ringfence.Execution.Translation;

/// <summary>The entries of fragments, and what leads to them.</summary>
internal sealed unsafe partial class FragmentCompiler
{
    /// <summary>
    /// Emits a fragment's unit once more, for <see cref="Listener"/>, and forgets what was emitted. Returned are the distances of that code
    /// from the fragment's own in the main area and in that of rare paths. The cache must have room. Not for traces.
    /// </summary>
    public (int Main, int Rare) EmitAside(int index)
    {
        Fragment fragment = _cache.Fragments[index];
        Fragment copy = fragment;
        Tail tail = _tail;
        int main = _main.Offset;
        int rare = _rare.Offset;
        int site = _cache.NextSite;
        int count = Begin(_cache.Page(fragment.Page), fragment.PageOffset, fragment.Rip, out _);
        _pageIndex = fragment.Page;
        EmitFragment(ref copy, count);
        _cache.ForgetSites(site);
        _main.Rewind(main);
        _rare.Rewind(rare);
        _tail = tail;
        return (main - fragment.Start, rare - fragment.RareStart);
    }

    /// <summary>
    /// Chains a link's site to the fragment it leads to, unless it cannot be patched or is chained already. Transfers that do not lead
    /// forward look for events: every cycle of chained code contains one.
    /// </summary>
    public bool TryChain(int number, int target)
    {
        Site* site = _cache.Sites + number;
        if (!_cache.Fragments[site->Fragment].IsAlive || site->HostOffset == 0 || site->IsLinked) return false;
        Fragment* to = _cache.Fragments + target;
        bool backward = site->Distance <= site->GuestOffset;
        bool saved = !site->FlagsInHost || (site->FlagsSaved && to->FlagsEntry == FlagsEntry.SavedFirst);
        int entry = saved
            ? backward ? PollSaved(target) : EntrySaved(target)
            : backward ? to->Start : to->EntryHost;
        _cache.Link(number, target, entry);
        _cache.Statistics.Sizes[_cache.Page(to->Page).Mode.Kind].Chained++;
        return true;
    }

    /// <summary>The fragment's entry for code that has the status flags saved.</summary>
    public int EntrySaved(int index)
    {
        Fragment* fragment = _cache.Fragments + index;
        if (fragment->EntrySaved != 0) return fragment->EntrySaved;
        fragment->EntrySaved = _rare.Offset;
        WriteMarked(_rare, HostCodeLabel.Flags, _code.RestoreFlags);
        _rare.WriteBranch(_code.Jump, fragment->EntryHost);
        Mark(HostCodeLabel.Entry, fragment->EntrySaved, _rare);
        return fragment->EntrySaved;
    }

    /// <summary>As <see cref="EntrySaved"/>, looking for events first.</summary>
    public int PollSaved(int index)
    {
        Fragment* fragment = _cache.Fragments + index;
        if (fragment->PollSaved != 0) return fragment->PollSaved;
        int entry = EntrySaved(index);
        fragment->PollSaved = _rare.Offset;
        EmitPoll(_rare, index, flagsSaved: true, EntryOffset(fragment));
        _rare.WriteBranch(_code.Jump, entry);
        Mark(HostCodeLabel.Entry, fragment->PollSaved, _rare);
        return fragment->PollSaved;
    }

    /// <summary>The fragment's entry through the jump table: checks that R15 is its address and that its page's mapping is known to be right.</summary>
    public int EntryTable(int index)
    {
        Fragment* fragment = _cache.Fragments + index;
        if (fragment->EntryTable != 0) return fragment->EntryTable;
        CodePage page = _cache.Page(fragment->Page);
        int entry = EntrySaved(index);
        int failed = CommonFor(page.Mode).LookUpFailed;
        fragment->EntryTable = _rare.Offset;
        ulong linear = page.Linear + fragment->EntryPageOffset;
        if ((ulong)(int)linear == linear)
        {
            _rare.Write(_code.CompareTarget32, (int)linear);
        }
        else
        {
            WriteImmediate(_rare, Register.R14, linear);
            _rare.Write(_code.CompareTarget);
        }

        _rare.WriteBranch(_code.JumpIfNotEqual, failed);
        EmitCompareEpoch(_rare, page);
        _rare.WriteBranch(_code.JumpIfNotEqual, failed);
        EmitPoll(_rare, index, flagsSaved: true, EntryOffset(fragment));
        _rare.WriteBranch(_code.Jump, entry);
        Mark(HostCodeLabel.Entry, fragment->EntryTable, _rare);
        return fragment->EntryTable;
    }

    private static ushort EntryOffset(Fragment* fragment) => (ushort)(fragment->EntryPageOffset - fragment->PageOffset);

    /// <summary>A look for events at an entry of a fragment.</summary>
    private void EmitPoll(CodeStream stream, int fragment, bool flagsSaved, ushort guestOffset)
    {
        int start = stream.Offset;
        stream.Write(_code.Poll);
        int place = stream.Offset;
        stream.Write(_code.PollLoad);
        int site = _cache.NewSite(new Site
        {
            Fragment = fragment,
            Kind = SiteKind.Poll,
            GuestOffset = guestOffset,
            Index = Site.BeforeCount,
            FlagsSaved = flagsSaved,
            HostOffset = place,
            Continuation = stream.Offset,
        });
        _cache.AddFaultSite(place, site);
        Mark(HostCodeLabel.Poll, start, stream);
    }
}
