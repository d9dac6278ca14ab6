namespace Ringfence.Machines;

/// <summary>What was awaited can no longer happen: the machine has ended.</summary>
public sealed class MachineEndedException : Exception
{
    internal MachineEndedException(string message)
        : base(message)
    {
    }
}
