namespace Ringfence.Devices;

/// <summary>Nanoseconds of guest time and ticks of an oscillator of at most 9 GHz, without overflow.</summary>
internal static class TickMath
{
    /// <summary>Nanoseconds in a second.</summary>
    public const long Second = 1_000_000_000;

    /// <summary>The least time ahead of now at which a device arms a timer: what a guest cannot make smaller.</summary>
    public const long LeastDelay = 1_000;

    /// <summary>Whole ticks that have passed at <paramref name="nanoseconds"/>, which is not negative.</summary>
    public static long ToTicks(long nanoseconds, long frequency) =>
        (nanoseconds / Second * frequency) + (nanoseconds % Second * frequency / Second);

    /// <summary>The first nanosecond at which <paramref name="ticks"/> ticks (not negative) have passed.</summary>
    public static long ToNanoseconds(long ticks, long frequency) =>
        (ticks / frequency * Second) + (((ticks % frequency * Second) + frequency - 1) / frequency);

    /// <summary>The due time to arm a timer with: not before <see cref="LeastDelay"/> from now.</summary>
    public static long NotTooSoon(long due, long now) => Math.Max(due, now + LeastDelay);
}
