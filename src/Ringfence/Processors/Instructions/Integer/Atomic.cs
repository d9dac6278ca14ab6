using System.Runtime.CompilerServices;

namespace Ringfence.Processors.Instructions.Integer;

/// <summary>The host's atomic operations on guest memory, by width.</summary>
internal static unsafe class Atomic
{
    /// <summary>Compare and exchange: stores <paramref name="value"/> if the place holds <paramref name="expected"/>; returns what it held.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Exchange<T>(T* place, T value, T expected)
        where T : unmanaged => Interlocked.CompareExchange(ref *place, value, expected);

    /// <summary>Exchange.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Exchange<T>(T* place, T value)
        where T : unmanaged => Interlocked.Exchange(ref *place, value);
}
