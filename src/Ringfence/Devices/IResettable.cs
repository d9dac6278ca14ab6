namespace Ringfence.Devices;

/// <summary>A part that the machine's RESET signal reaches.</summary>
public interface IResettable
{
    /// <summary>Takes the part to its state after RESET. Called under the machine lock.</summary>
    void Reset();
}
