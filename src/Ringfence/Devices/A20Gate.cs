namespace Ringfence.Devices;

/// <summary>
/// The gate of address line 20, which the keyboard controller's output port and port 92h both drive: the last writer wins,
/// and both read the gate's state.
/// </summary>
/// <param name="changed">Called with the new state.</param>
internal sealed class A20Gate(Action<bool> changed)
{
    private bool _enabled = true;

    /// <summary>True while address line 20 follows the processor; false while it is forced to 0. True after RESET.</summary>
    public bool Enabled
    {
        get => _enabled;
        set
        {
            if (value == _enabled) return;
            _enabled = value;
            changed(value);
        }
    }

    /// <summary>Opens the gate.</summary>
    public void Reset() => Enabled = true;

    /// <summary>Visits the gate's state as part of its owner's.</summary>
    public void DescribeState(IStateVisitor visitor)
    {
        bool enabled = _enabled;
        visitor.Field("a20", ref enabled);
        Enabled = enabled;
    }
}
