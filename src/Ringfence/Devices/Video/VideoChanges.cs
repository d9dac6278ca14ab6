namespace Ringfence.Devices.Video;

/// <summary>Counts changes of an adapter's registers, so that whoever draws can see without the machine lock that there was none.</summary>
internal sealed class VideoChanges
{
    private long _count = 1;

    /// <summary>Changes so far. Any thread.</summary>
    public long Count => Volatile.Read(ref _count);

    /// <summary>Counts one. Under the machine lock.</summary>
    public void Raise() => Volatile.Write(ref _count, _count + 1);

    /// <summary>Assigns a register and counts that, if it changes.</summary>
    public void Set<T>(ref T register, T value)
        where T : IEquatable<T>
    {
        if (register.Equals(value)) return;
        register = value;
        Raise();
    }
}
