namespace Ringfence.Devices;

/// <summary>
/// Guest time. It follows the host's monotonic clock, or, in a deterministic machine, the count of executed
/// instructions; devices cannot tell. All members are called under the machine lock unless said otherwise.
/// </summary>
public interface IMachineClock
{
    /// <summary>Guest time since power-on, in nanoseconds. Never goes backwards. Any thread may ask.</summary>
    long Now { get; }

    /// <summary>Wall-clock time of power-on, the base of the real-time clock (fixed in a deterministic machine).</summary>
    DateTimeOffset PowerOn { get; }

    /// <summary>Makes a timer that calls <paramref name="expired"/> under the machine lock when it is due.</summary>
    IMachineTimer CreateTimer(Action expired);
}

/// <summary>One timer of an <see cref="IMachineClock"/>. It fires at most once for each time it is armed.</summary>
public interface IMachineTimer
{
    /// <summary>Arms the timer for guest time <paramref name="due"/> (nanoseconds); replaces an earlier due time.</summary>
    void Arm(long due);

    /// <summary>Disarms the timer.</summary>
    void Cancel();
}
