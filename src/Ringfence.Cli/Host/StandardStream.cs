using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Ringfence.Cli.Host;

/// <summary>
/// Standard input, output and error as the host has them: no buffer, no encoding, no line editing. A write is complete or fails.
/// </summary>
internal static unsafe partial class StandardStream
{
    /// <summary>Standard input.</summary>
    public const int Input = 0;

    /// <summary>Standard output.</summary>
    public const int Output = 1;

    /// <summary>Standard error.</summary>
    public const int Error = 2;

    private const int Interrupted = 4;
    private const int TryAgain = 11;
    private const int Forever = -1;
    private const short Readable = 1;
    private const short Writable = 4;

    /// <summary>Reads what is there, waiting for the first byte. 0 at the end.</summary>
    /// <exception cref="IOException">The host reports an error.</exception>
    public static int Read(Span<byte> buffer)
    {
        while (true)
        {
            fixed (byte* start = buffer)
            {
                nint read = HostRead(Input, start, (nuint)buffer.Length);
                if (read >= 0) return (int)read;
            }

            Await(Input, Readable);
        }
    }

    /// <summary>Writes all bytes.</summary>
    /// <exception cref="IOException">The host reports an error, such as a closed pipe.</exception>
    public static void Write(int file, ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
        {
            nint written;
            fixed (byte* start = data) written = HostWrite(file, start, (nuint)data.Length);
            if (written >= 0) data = data[(int)written..];
            else Await(file, Writable);
        }
    }

    // Standard streams may be non-blocking: they are shared with whoever started us.
    private static void Await(int file, short events)
    {
        int error = Marshal.GetLastPInvokeError();
        if (error == Interrupted) return;
        if (error != TryAgain) throw new IOException(new Win32Exception(error).Message);
        PollRequest request = new() { File = file, Events = events };
        _ = Poll(&request, 1, Forever);
    }

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint HostRead(int file, byte* buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint HostWrite(int file, byte* buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static partial int Poll(PollRequest* requests, nuint count, int timeout);

    [StructLayout(LayoutKind.Sequential)]
    private struct PollRequest
    {
        public int File;
        public short Events;
        public short Results;
    }
}
