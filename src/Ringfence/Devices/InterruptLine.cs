namespace Ringfence.Devices;

/// <summary>A level-sensitive wire from a device to an interrupt controller. Used under the machine lock.</summary>
/// <param name="changed">Called with the new level whenever the level changes.</param>
public sealed class InterruptLine(Action<bool> changed)
{
    /// <summary>The level last driven.</summary>
    public bool Level { get; private set; }

    /// <summary>Drives the wire.</summary>
    public void Set(bool level)
    {
        if (level == Level) return;
        Level = level;
        changed(level);
    }

    /// <summary>Drives the wire high and low again: one edge.</summary>
    public void Pulse()
    {
        Set(true);
        Set(false);
    }
}
