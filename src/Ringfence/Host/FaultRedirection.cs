using System.Runtime.InteropServices;

namespace Ringfence.Host;

/// <summary>
/// Faults of emitted code: one that interrupts code in the arena of <see cref="ExecutableMemory"/> is noted in the thread's
/// <see cref="HostFault"/>, and the thread goes on where that says. All other faults reach the handlers that were there
/// before, which are the .NET runtime's: managed code keeps its exceptions. Only on Linux x86-64.
/// </summary>
/// <remarks>
/// What a thread must provide while its RIP is in the arena: a GS base (<see cref="ThreadGsBase"/>) that reaches a
/// writable <see cref="HostFault"/>, and an RSP with room below for a signal's frame (up to some 11 KiB where AMX is in
/// use), because SIGFPE, SIGILL and SIGBUS arrive on the interrupted stack. The 128 bytes below RSP survive.
/// </remarks>
internal static unsafe class FaultRedirection
{
    private const int PageSize = 4096;

    private static readonly int[] Signals =
        [NativeSignals.SegmentationFault, NativeSignals.BusError, NativeSignals.FloatingPoint, NativeSignals.IllegalInstruction];

    private static readonly Lock InstallLock = new();
    private static int? _gsOffset;

    /// <summary>Can this host do it?</summary>
    public static bool IsSupported { get; } = RuntimeInformation.ProcessArchitecture == Architecture.X64 && OperatingSystem.IsLinux();

    /// <summary>
    /// Installs the signal handlers, once for the whole process and for good; further calls change nothing. Thread-safe.
    /// </summary>
    /// <param name="gsOffset">Where every thread's <see cref="HostFault"/> lies from its GS base.</param>
    /// <exception cref="InvalidOperationException">They are installed with another offset.</exception>
    /// <exception cref="PlatformNotSupportedException">Not <see cref="IsSupported"/>.</exception>
    public static void Install(int gsOffset)
    {
        if (!IsSupported) throw new PlatformNotSupportedException("Faults of emitted code are redirected on Linux x86-64 only.");
        lock (InstallLock)
        {
            if (_gsOffset is int installed)
            {
                if (installed != gsOffset) throw new InvalidOperationException($"Fault redirection is installed with the GS offset {installed}, not {gsOffset}.");
                return;
            }

            InstallHandlers(gsOffset);
            _gsOffset = gsOffset;
        }
    }

    private static void InstallHandlers(int gsOffset)
    {
        // All code is ready and executable before the first signal can reach it.
        var actions = new SignalAction[Signals.Length];
        byte* page = NativeMemoryMap.Allocate(PageSize);
        for (int i = 0; i < Signals.Length; i++)
        {
            byte* handler = page + (i * FaultHandlerCode.MaximumLength);
            SignalAction action = NativeSignals.Get(Signals[i]);
            byte[] code = FaultHandlerCode.Assemble(
                (nuint)handler, ExecutableMemory.ArenaStart, ExecutableMemory.ArenaLength, gsOffset, action.Handler);
            code.CopyTo(new Span<byte>(handler, FaultHandlerCode.MaximumLength));

            // A handler that was there keeps its mask and its stack: the runtime's for SIGFPE and SIGILL throw from the
            // interrupted one. Nothing nests: ours cannot fault, and the runtime unblocks the signal before it throws.
            if (action.Handler is SignalAction.Default or SignalAction.Ignore) action.Flags = SignalAction.OnAlternateStack | SignalAction.Restart;
            action.Flags |= SignalAction.WithInformation;
            action.Handler = (nint)handler;
            actions[i] = action;
        }

        NativeMemoryMap.Protect(page, PageSize, NativeMemoryMap.ProtectRead | NativeMemoryMap.ProtectExecute);
        for (int i = 0; i < Signals.Length; i++) NativeSignals.Set(Signals[i], actions[i]);
    }
}
