namespace Ringfence.Guests.Kernel;

/// <summary>What the tasks system call tells about a task: offsets in a record.</summary>
internal static class TaskRecord
{
    public const int Number = 0;
    public const int State = 4;

    /// <summary>Time stamp counts.</summary>
    public const int CpuTime = 8;
    public const int Preemptions = 16;
    public const int CommandLine = 24;
    public const int CommandLineBytes = 40;
    public const int Bytes = 64;
}
