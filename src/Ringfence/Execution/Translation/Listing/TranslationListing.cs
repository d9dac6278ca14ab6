using Iced.Intel;

namespace Ringfence.Execution.Translation.Listing;

/// <summary>
/// What binary translation makes of guest code: its translation units and the fragments they are compiled to, by the compiler that the
/// translator uses, with everything chained that can be reached from the first byte. Nothing is executed.
/// <para>
/// The code is listed as a kernel's (CPL 0) in real mode, or in 32-bit protected or 64-bit mode with flat segments, with the
/// XMM registers in use. Units stand in the order in which their fragments lie in memory: what follows without a transfer first, then what
/// transfers lead to.
/// </para>
/// </summary>
public sealed class TranslationListing
{
    /// <summary>Bytes that can be listed at once.</summary>
    public const int MaxCodeBytes = 1 << 16;

    private TranslationListing(int bits, ulong origin, int length, IReadOnlyList<ListedUnit> units)
    {
        Bits = bits;
        Origin = origin;
        Length = length;
        Units = units;
    }

    /// <summary>Can this host compile guest code?</summary>
    public static bool IsSupported => Translator.IsSupported;

    /// <summary>Size of the code: 16, 32 or 64 bits.</summary>
    public int Bits { get; }

    /// <summary>Address of the first byte.</summary>
    public ulong Origin { get; }

    /// <summary>Bytes given.</summary>
    public int Length { get; }

    /// <summary>The units that can be reached.</summary>
    public IReadOnlyList<ListedUnit> Units { get; }

    /// <summary>Guest instructions of all units. Those that several units share count several times.</summary>
    public int Instructions => Units.Sum(u => u.Instructions.Count);

    /// <summary>Bytes that no unit contains: data, or code behind an indirect transfer.</summary>
    public int UnreachedBytes
    {
        get
        {
            bool[] reached = new bool[Length];
            foreach (ListedUnit unit in Units) reached.AsSpan((int)(unit.Address - Origin), unit.Length).Fill(true);
            return reached.Count(r => !r);
        }
    }

    /// <summary>Compiles code and lists it.</summary>
    /// <param name="code">The code, from 1 to <see cref="MaxCodeBytes"/> bytes.</param>
    /// <param name="bits">Its size: 16, 32 or 64 bits.</param>
    /// <param name="origin">Address of its first byte and first instruction.</param>
    /// <exception cref="ArgumentException">There is no code, too much of it, no such size, or no room for the code at that address.</exception>
    /// <exception cref="PlatformNotSupportedException">This host is not x86-64 Linux.</exception>
    public static TranslationListing Create(ReadOnlySpan<byte> code, int bits, ulong origin)
    {
        if (!IsSupported) throw new PlatformNotSupportedException("Binary translation needs x86-64 Linux.");
        if (code.IsEmpty) throw new ArgumentException("There is no code.", nameof(code));
        if (code.Length > MaxCodeBytes) throw new ArgumentException($"More than {MaxCodeBytes} bytes of code.", nameof(code));
        if (bits is not (16 or 32 or 64)) throw new ArgumentException("Code has 16, 32 or 64 bits.", nameof(bits));
        if (!Fits(code.Length, bits, origin)) throw new ArgumentException("The code does not fit at that address.", nameof(origin));
        using var processor = new ListingProcessor(code, bits, origin);
        return new TranslationListing(bits, origin, code.Length, new ListingBuilder(processor, code.ToArray(), bits, origin).Build());
    }

    /// <summary>Is there room for so many bytes at an address: 64 KiB, 4 GiB, or one half of the 64-bit address space?</summary>
    public static bool Fits(int length, int bits, ulong origin)
    {
        ulong last = origin + (ulong)length - 1;
        return bits switch
        {
            16 => origin <= ushort.MaxValue && last <= ushort.MaxValue,
            32 => origin <= uint.MaxValue && last <= uint.MaxValue,
            _ => Memory.Mmu.IsCanonical(origin) && Memory.Mmu.IsCanonical(last) && last >= origin && last != ulong.MaxValue
                && (long)origin >> 63 == (long)last >> 63,
        };
    }

    /// <summary>Lists one fragment of a cache as it is now. The cache must have room for one more; its processor does not run.</summary>
    internal static unsafe ListedUnit OfFragment(TranslationCache cache, FragmentCompiler compiler, int index)
    {
        Fragment fragment = cache.Fragments[index];
        CodePage page = cache.Page(fragment.Page);
        var recorder = new FragmentRecorder();
        IFragmentListener? listener = compiler.Listener;
        compiler.Listener = recorder;
        (int main, int rare) = compiler.EmitAside(index);
        compiler.Listener = listener;
        ReadOnlySpan<byte> bytes = new(cache.Watch(page) + fragment.PageOffset, fragment.GuestLength);
        var disassembler = new FragmentDisassembler(cache, new HostSymbols(cache, compiler, page.Mode));
        return new ListedUnit(fragment.Rip, ListInstructions(recorder.Unit, bytes, fragment.Rip), disassembler.Disassemble(index, recorder, main, rare));
    }

    /// <summary>Makes guest instructions for a listing.</summary>
    /// <param name="instructions">The instructions.</param>
    /// <param name="bytes">Bytes that contain theirs.</param>
    /// <param name="origin">Address of the first byte.</param>
    internal static List<ListedInstruction> ListInstructions(IReadOnlyList<Instruction> instructions, ReadOnlySpan<byte> bytes, ulong origin)
    {
        NasmFormatter formatter = ListingText.Formatter();
        List<ListedInstruction> list = [];
        foreach (Instruction instruction in instructions)
        {
            byte[] own = bytes.Slice((int)(instruction.IP - origin), instruction.Length).ToArray();
            list.Add(new ListedInstruction(instruction.IP, own, ListingText.Format(formatter, instruction)));
        }

        return list;
    }
}
