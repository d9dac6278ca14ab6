namespace Ringfence.Virtualizability.HostProcessors;

/// <summary>
/// Where things lie in the child process that executes instructions on the host's processor. All of it is below 4 GiB, so that 32-bit
/// code reaches it; what the child's own code addresses is below 2 GiB, where a sign-extended displacement reaches.
/// </summary>
internal sealed record HostProbeLayout
{
    /// <summary>Bytes of each of the three areas.</summary>
    public const int AreaBytes = 4096;

    /// <summary>The child's own code: it alone may make system calls.</summary>
    public const uint ProbeCode = 0x7000_0000;

    /// <summary>Bytes of the child's own code.</summary>
    public const uint ProbeCodeBytes = 4096;

    /// <summary>The child's own data: <see cref="HostProbeRecords"/>.</summary>
    public const uint ProbeData = 0x7001_0000;

    /// <summary>The child's own stacks: the lower three quarters for signals, of which a frame may need 11 KiB (AMX), the upper quarter for itself.</summary>
    public const uint ProbeStacks = 0x7002_0000;

    /// <summary>Bytes of the child's own stacks.</summary>
    public const uint ProbeStackBytes = 0x1_0000;

    /// <summary>Bytes of them for signals.</summary>
    public const uint SignalStackBytes = ProbeStackBytes / 4 * 3;

    /// <summary>The area that code is executed in: readable, writable, executable. Page aligned, as all of them.</summary>
    public uint Code { get; init; } = 0x2000_0000;

    /// <summary>The area of the code's operands: readable and writable.</summary>
    public uint Data { get; init; } = 0x2100_0000;

    /// <summary>The area of the code's stack: readable and writable.</summary>
    public uint Stack { get; init; } = 0x2200_0000;
}
