namespace Ringfence.Host;

/// <summary>
/// The address space in which every executable view of this process lies, so that two comparisons tell whether a signal
/// interrupted emitted code. Reserved when first asked for and never given back: start and length do not change.
/// Thread-safe.
/// </summary>
internal static unsafe class ExecutableArena
{
    /// <summary>Bytes of address space. Memory is needed only for what is mapped and touched.</summary>
    public static readonly nuint Length = unchecked((nuint)(64UL << 30));

    /// <summary>A page that faults follows every slot: code that runs off its end does not run into another's.</summary>
    private const uint Guard = PageSize;

    private const uint PageSize = 4096;

    private static readonly Lazy<nuint> Reservation = new(() => (nuint)NativeMemoryMap.Reserve(Length));
    private static readonly Lazy<FreeRanges> Free = new(() => new FreeRanges(Start, Length));
    private static readonly Lock FreeLock = new();

    /// <summary>First address.</summary>
    public static nuint Start => Reservation.Value;

    /// <summary>A slot of whole pages that faults on every access until something is mapped there.</summary>
    /// <exception cref="InsufficientMemoryException">The arena has no free slot of this size.</exception>
    public static byte* Take(nuint length)
    {
        lock (FreeLock)
        {
            if (length <= Length - Guard && Free.Value.TryTake(length + Guard, out nuint start)) return (byte*)start;
        }

        throw new InsufficientMemoryException($"The arena for translated code has no {length} bytes of address space left.");
    }

    /// <summary>Takes a slot back and unmaps what was mapped there.</summary>
    public static void Return(byte* slot, nuint length)
    {
        // Before the slot is free: whoever takes it next maps it.
        NativeMemoryMap.ReserveAgain(slot, length);
        lock (FreeLock) Free.Value.Give((nuint)slot, length + Guard);
    }
}
