using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Ringfence.Host;

/// <summary>
/// A sleep in nanoseconds that another thread can cut short (Linux: ppoll on an eventfd). The runtime's own waits count in
/// milliseconds, which is too coarse for a guest's timers.
/// </summary>
internal sealed unsafe partial class WakeableSleep : IDisposable
{
    private const int CloseOnExec = 0x80000;
    private const int NonBlocking = 0x800;
    private const short PollIn = 1;
    private readonly SafeFileHandle _event;

    public WakeableSleep()
    {
        int descriptor = EventFd(0, CloseOnExec | NonBlocking);
        if (descriptor < 0) throw new Win32Exception(Marshal.GetLastPInvokeError());
        _event = new SafeFileHandle(descriptor, ownsHandle: true);
    }

    /// <summary>Sleeps until <see cref="Wake"/> or for <paramref name="nanoseconds"/>; for ever if negative.</summary>
    public void Sleep(long nanoseconds)
    {
        var poll = new PollDescriptor { Descriptor = (int)_event.DangerousGetHandle(), Events = PollIn };
        var time = new TimeSpecification { Seconds = nanoseconds / 1_000_000_000, Nanoseconds = nanoseconds % 1_000_000_000 };
        int ready = PPoll(&poll, 1, nanoseconds < 0 ? null : &time, null, 0);
        if (ready <= 0) return;
        ulong count;
        Read(_event, &count, sizeof(ulong));
    }

    /// <summary>Ends the sleep, or the next one if nobody sleeps now. Any thread.</summary>
    public void Wake()
    {
        ulong one = 1;
        Write(_event, &one, sizeof(ulong));
    }

    /// <inheritdoc/>
    public void Dispose() => _event.Dispose();

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    private static partial int EventFd(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "ppoll", SetLastError = true)]
    private static partial int PPoll(PollDescriptor* descriptors, nuint count, TimeSpecification* timeout, void* signals, nuint signalsSize);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint Read(SafeFileHandle descriptor, void* data, nuint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint Write(SafeFileHandle descriptor, void* data, nuint count);

    private struct PollDescriptor
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }

    private struct TimeSpecification
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
