namespace Ringfence.Processors.Exits;

/// <summary>Takes one processor's exits as they happen, on its thread.</summary>
internal interface IExitRecorder
{
    /// <summary>Records an exit that is over.</summary>
    void Record(in ExitRecord exit);
}
