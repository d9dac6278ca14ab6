namespace Ringfence.Guests.Kernel;

/// <summary>What a task does.</summary>
internal enum TaskState
{
    /// <summary>The record is free.</summary>
    Free,

    /// <summary>Runs or could run.</summary>
    Ready,

    /// <summary>Waits for a time.</summary>
    Sleeping,

    /// <summary>Waits for a byte from the console.</summary>
    WaitingForInput,

    /// <summary>Waits for a child to end.</summary>
    WaitingForTask,

    /// <summary>Has ended, its exit code has not been asked for.</summary>
    Finished,
}
