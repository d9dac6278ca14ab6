using System.Runtime.InteropServices;

namespace Ringfence.Tests.Differential;

/// <summary>The host system calls that only the differential test needs (Linux).</summary>
internal static unsafe partial class HostCalls
{
    private const int Private = 2;
    private const int Anonymous = 0x20;
    private const int NoReserve = 0x4000;
    private const int FixedNoReplace = 0x10_0000;

    /// <summary>Reserves inaccessible address space at exactly <paramref name="address"/>. False: something is there.</summary>
    public static bool TryReserveAt(nuint address, nuint length)
    {
        void* got = Map((void*)address, length, 0, Private | Anonymous | NoReserve | FixedNoReplace, -1, 0);
        if ((nuint)got == address) return true;
        if ((nint)got != -1) _ = Unmap(got, length);
        return false;
    }

    /// <summary>Gets, and sets if <paramref name="action"/> is not null, what a signal does: the system call itself, rt_sigaction.</summary>
    public static void SetSignalAction(int signal, SignalAction* action, SignalAction* old)
    {
        const int RtSigaction = 13;
        if (SystemCall(RtSigaction, signal, action, old, 8) != 0) throw new InvalidOperationException($"rt_sigaction({signal}) failed.");
    }

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial void* Map(void* address, nuint length, int protection, int flags, int file, long offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(void* address, nuint length);

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial nint SystemCall(nint number, nint signal, SignalAction* action, SignalAction* old, nint maskBytes);
}

/// <summary>The kernel's struct sigaction on x86-64 Linux.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct SignalAction
{
    /// <summary>Pass siginfo and context.</summary>
    public const int SigInfo = 4;

    /// <summary>Use the alternate stack.</summary>
    public const int OnStack = 0x0800_0000;

    public void* Handler;
    public ulong Flags;
    public void* Restorer;
    public ulong Mask;
}
