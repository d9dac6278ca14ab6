namespace Ringfence.Guests.Kernel;

/// <summary>Offsets in a task's kernel record.</summary>
internal static class TaskLayout
{
    public const int State = 0;
    public const int Number = 4;

    /// <summary>RSP while another task runs.</summary>
    public const int KernelRsp = 8;
    public const int KernelStackTop = 16;
    public const int Cr3 = 24;

    /// <summary>Microseconds of uptime at which a sleeping task wakes.</summary>
    public const int WakeTime = 32;

    /// <summary>Time stamp counts spent running.</summary>
    public const int CpuTime = 40;
    public const int Preemptions = 48;
    public const int ExitCode = 56;

    /// <summary>Address of the record of the task that started this one, or 0.</summary>
    public const int Parent = 64;

    /// <summary>Address of the record of the child waited for.</summary>
    public const int WaitingFor = 72;
    public const int Killed = 80;

    /// <summary>Nobody will ask for the exit code.</summary>
    public const int Detached = 84;
    public const int CommandLine = 128;

    /// <summary>FXSAVE's 512 bytes, 16-byte aligned (Intel SDM 1 10.5).</summary>
    public const int FloatingPoint = 512;
    public const int Bytes = 1024;

    public const int CommandLineBytes = 128;

    /// <summary>Records; the first is the idle task, the second the shell.</summary>
    public const int Count = 16;
}
