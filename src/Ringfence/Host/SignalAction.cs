using System.Runtime.InteropServices;

namespace Ringfence.Host;

/// <summary>The C library's <c>struct sigaction</c> on Linux x86-64 (the same in glibc and musl).</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct SignalAction
{
    /// <summary><see cref="Handler"/>: the signal's default action.</summary>
    public const int Default = 0;

    /// <summary><see cref="Handler"/>: nothing happens.</summary>
    public const int Ignore = 1;

    /// <summary>SA_SIGINFO: the handler gets (signal, siginfo_t*, ucontext_t*).</summary>
    public const int WithInformation = 4;

    /// <summary>SA_ONSTACK: the handler runs on the thread's alternate stack, if it has one.</summary>
    public const int OnAlternateStack = 0x08000000;

    /// <summary>SA_RESTART: interrupted system calls are restarted.</summary>
    public const int Restart = 0x10000000;

    /// <summary>Address of the function, <see cref="Default"/> or <see cref="Ignore"/>.</summary>
    public nint Handler;

    /// <summary>Signals blocked while the handler runs, besides its own.</summary>
    public fixed ulong Mask[16];

    /// <summary>SA_ constants.</summary>
    public int Flags;

    /// <summary>The C library's own.</summary>
    public nint Restorer;
}
