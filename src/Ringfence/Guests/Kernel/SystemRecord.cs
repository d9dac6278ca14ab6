namespace Ringfence.Guests.Kernel;

/// <summary>What the information system call tells: offsets of 64-bit numbers. The kernel keeps its counters in this form.</summary>
internal static class SystemRecord
{
    /// <summary>Page frames for user programs and page tables.</summary>
    public const int Frames = 0;
    public const int FreeFrames = 8;

    /// <summary>Bytes of memory used at most.</summary>
    public const int Memory = 16;
    public const int TimerInterrupts = 24;
    public const int SerialInterrupts = 32;
    public const int TaskSwitches = 40;
    public const int SystemCalls = 48;

    /// <summary>Time stamp counts a second.</summary>
    public const int TscFrequency = 56;

    /// <summary>Counts of the local APIC's timer a second.</summary>
    public const int ApicFrequency = 64;
    public const int Faults = 72;
    public const int Bytes = 80;
}
