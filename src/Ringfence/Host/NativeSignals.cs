using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Ringfence.Host;

/// <summary>What the host does on signals (Linux).</summary>
internal static unsafe partial class NativeSignals
{
    /// <summary>SIGILL: #UD.</summary>
    public const int IllegalInstruction = 4;

    /// <summary>SIGBUS: #AC, or a page of a file that is not there.</summary>
    public const int BusError = 7;

    /// <summary>SIGFPE: #DE, #MF, #XM.</summary>
    public const int FloatingPoint = 8;

    /// <summary>SIGSEGV: #PF, #GP, #SS.</summary>
    public const int SegmentationFault = 11;

    /// <summary>What happens on <paramref name="signal"/> now.</summary>
    public static SignalAction Get(int signal)
    {
        SignalAction action = default;
        if (Action(signal, null, &action) != 0) throw new Win32Exception(Marshal.GetLastPInvokeError());
        return action;
    }

    /// <summary>Says what happens on <paramref name="signal"/> from here on, in the whole process.</summary>
    public static void Set(int signal, SignalAction action)
    {
        if (Action(signal, &action, null) != 0) throw new Win32Exception(Marshal.GetLastPInvokeError());
    }

    [LibraryImport("libc", EntryPoint = "sigaction", SetLastError = true)]
    private static partial int Action(int signal, SignalAction* action, SignalAction* previous);
}
