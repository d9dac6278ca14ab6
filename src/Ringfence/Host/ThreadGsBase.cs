using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Ringfence.Host;

/// <summary>
/// The calling thread's GS base (Linux x86-64). Neither the .NET runtime nor the C library uses GS; FS is theirs. The
/// kernel keeps it with the thread's registers, a new thread inherits its creator's.
/// </summary>
internal static unsafe partial class ThreadGsBase
{
    private const nint ArchPrctl = 158;
    private const nint ArchSetGs = 0x1001;
    private const nint ArchGetGs = 0x1004;

    /// <summary>Lets <c>gs:0</c> be <paramref name="address"/> on this thread.</summary>
    /// <exception cref="Win32Exception">The address is not one of user space.</exception>
    public static void Set(void* address)
    {
        if (SystemCall(ArchPrctl, ArchSetGs, address) != 0) throw new Win32Exception(Marshal.GetLastPInvokeError());
    }

    /// <summary>What <c>gs:0</c> is on this thread.</summary>
    public static void* Get()
    {
        void* address;
        if (SystemCall(ArchPrctl, ArchGetGs, &address) != 0) throw new Win32Exception(Marshal.GetLastPInvokeError());
        return address;
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SystemCall(nint number, nint function, void* argument);
}
