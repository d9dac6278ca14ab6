using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Ringfence.Processors;
using Ringfence.Processors.FloatingPoint;
using Ringfence.Processors.Instructions.X87;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Execution.Translation;

/// <summary>
/// The guest's x87 and MMX registers while they are in the host's unit. Translated code loads them when it meets its first x87
/// instruction; they then stay there, also while C# code runs, until somebody wants to see them in <see cref="VcpuState"/>: the shared definition
/// of an instruction that uses them, a single step, the end of <see cref="IExecutionEngine.Run"/>.
/// <para>
/// Nothing between two such points may use the host's unit. Code that the .NET runtime compiles does not: double and float
/// are SSE on x86-64. Nor does the runtime's own native code, or the C library but for <c>long double</c>; the kernel
/// saves the unit when it switches threads or delivers signals. While the registers are not here, the unit is as the
/// System V ABI wants it: empty, with the default control word.
/// </para>
/// <para>
/// The guest's control word is the host's, unmasked exceptions included: a pending one raises SIGFPE at the next waiting
/// instruction, as it raises #MF in the guest, and is redirected to that instruction's site like any other host fault.
/// </para>
/// <para>
/// The host's own pointers to the last instruction are not used: they would name host addresses, and AMD's processors do
/// not save them. Translated code notes the site of the last instruction, and site and offset of the last
/// memory operand, from which <see cref="SettlePointers"/> makes what the guest sees.
/// </para>
/// </summary>
internal sealed unsafe class HostX87 : IDisposable
{
    private const int AreaBytes = 512;
    private const int MxcsrAt = 24;
    private const int RegistersAt = 32;
    private const int SegmentShift = 16;

    private readonly VcpuState* _s;
    private readonly TranslationCache _cache;
    private readonly byte* _area;
    private readonly int _load;
    private readonly int _save;
    private bool _isLive;

    public HostX87(VcpuState* state, TranslationCache cache)
    {
        _s = state;
        _cache = cache;
        _area = (byte*)NativeMemory.AlignedAlloc(AreaBytes, 64);
        NativeMemory.Clear(_area, AreaBytes);
        cache.Common.Align();
        _load = cache.Common.Offset;
        // Void (void* area), System V: RDI. The XMM registers, which FXRSTOR changes, belong to the callee.
        cache.Common.Write(HostCode.Assemble(c =>
        {
            c.fxrstor64(__[rdi]);
            c.ret();
        }));
        _save = cache.Common.Offset;
        cache.Common.Write(HostCode.Assemble(c =>
        {
            c.fxsave64(__[rdi]);
            c.fninit();
            c.ret();
        }));
        state->X87InState = 1;
    }

    /// <summary>Times the registers were loaded.</summary>
    public long Loads { get; private set; }

    /// <summary>What a site must know of a numeric instruction for the guest's pointers: its opcode, and the segment of its operand.</summary>
    public static int Describe(int opcode, SegmentIndex segment) => opcode | ((int)segment << SegmentShift);

    /// <inheritdoc/>
    public void Dispose()
    {
        _s->X87InState = 0;
        NativeMemory.AlignedFree(_area);
    }

    /// <summary>
    /// Brings the guest's registers to the host's unit, if they are not there. False: CR0.EM or CR0.TS forbids their use, or somebody has set an
    /// error summary that does not follow from flags and masks, as the host's would.
    /// </summary>
    public bool TryLoad()
    {
        VcpuState* s = _s;
        if (s->HasCr0(Cr0.Em | Cr0.Ts)) return false;
        if (_isLive) return true;
        bool isPending = (s->X87Status & ~s->X87Control & FloatExceptions.All) != 0;
        if (isPending != ((s->X87Status & X87Unit.ErrorSummary) != 0)) return false;
        byte* area = _area;
        *(ushort*)area = s->X87Control;
        *(ushort*)(area + 2) = s->X87Status;
        area[4] = s->X87Tag;
        *(uint*)(area + MxcsrAt) = s->Native.HostMxcsr;
        int top = (s->X87Status >> 11) & 7;
        for (int i = 0; i < 8; i++)
        {
            int physical = (top + i) & 7;
            *(ulong*)(area + RegistersAt + (i * 16)) = s->X87Significand[physical];
            *(ushort*)(area + RegistersAt + (i * 16) + 8) = s->X87SignExponent[physical];
        }

        ((delegate* unmanaged[SuppressGCTransition]<void*, void>)(_cache.Executable + _load))(area);
        _isLive = true;
        Loads++;
        s->X87InState = 0;
        return true;
    }

    /// <summary>Brings the registers back to the state, if they are not there, and the pointers up to date.</summary>
    public void BringBack()
    {
        SettlePointers();
        if (_isLive) Save();
    }

    /// <summary>
    /// Brings the pointers to the last instruction and operand up to date. Wanted before anything can change a segment register, and before
    /// sites are forgotten.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void SettlePointers()
    {
        if ((_s->Native.X87Note | _s->Native.X87DataNote) != 0) Settle();
    }

    private void Save()
    {
        VcpuState* s = _s;
        byte* area = _area;
        ((delegate* unmanaged[SuppressGCTransition]<void*, void>)(_cache.Executable + _save))(area);
        s->X87Control = *(ushort*)area;
        s->X87Status = *(ushort*)(area + 2);
        s->X87Tag = area[4];
        int top = (s->X87Status >> 11) & 7;
        for (int i = 0; i < 8; i++)
        {
            int physical = (top + i) & 7;
            s->X87Significand[physical] = *(ulong*)(area + RegistersAt + (i * 16));
            s->X87SignExponent[physical] = *(ushort*)(area + RegistersAt + (i * 16) + 8);
        }

        _isLive = false;
        s->X87InState = 1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Settle()
    {
        VcpuState* s = _s;
        int note = (int)s->Native.X87Note;
        int dataNote = (int)s->Native.X87DataNote;
        s->Native.X87Note = s->Native.X87DataNote = 0;
        if (note != 0)
        {
            Site* site = _cache.Sites + note;
            Fragment* fragment = _cache.Fragments + site->Fragment;
            s->X87InstructionPointer = fragment->Rip + site->GuestOffset;
            s->X87InstructionSelector = IsLong(site) ? (ushort)0 : s->Segment(SegmentIndex.Cs).Selector;
            s->X87Opcode = (ushort)site->Distance;
        }

        if (dataNote != 0)
        {
            Site* site = _cache.Sites + dataNote;
            s->X87DataPointer = s->Native.X87DataOffset;
            s->X87DataSelector = IsLong(site) ? (ushort)0 : s->Segment((SegmentIndex)(site->Distance >> SegmentShift)).Selector;
        }
    }

    private bool IsLong(Site* site) => _cache.Page(_cache.Fragments[site->Fragment].Page).Mode.IsLong;
}
