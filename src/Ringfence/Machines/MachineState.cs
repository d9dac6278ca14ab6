namespace Ringfence.Machines;

/// <summary>Where a machine is in its life.</summary>
public enum MachineState
{
    /// <summary>It has not been switched on.</summary>
    NotStarted,

    /// <summary>Its processors execute guest code, or are halted and wait for an interrupt.</summary>
    Running,

    /// <summary>It stands still between two instructions.</summary>
    Paused,

    /// <summary>It is over.</summary>
    Ended,
}
