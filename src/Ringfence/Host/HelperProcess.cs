using System.ComponentModel;
using System.Diagnostics;
using System.IO.Pipes;
using System.Runtime.InteropServices;

namespace Ringfence.Host;

/// <summary>
/// A child process whose program is an image in memory, with pipes for its standard streams. Every wait has a limit; disposing of it
/// kills and reaps it, so that neither process nor descriptor is left. Linux x86-64 only.
/// </summary>
internal sealed partial class HelperProcess : IDisposable
{
    // What poll says may be written without waiting, of a pipe (POSIX: PIPE_BUF).
    private const int AtOnce = 4096;
    private const short PollIn = 1;
    private const short PollOut = 4;

    private readonly Process _process;
    private readonly PipeStream _input;
    private readonly PipeStream _output;

    private HelperProcess(Process process)
    {
        _process = process;
        _input = (PipeStream)process.StandardInput.BaseStream;
        _output = (PipeStream)process.StandardOutput.BaseStream;
        Id = process.Id;
    }

    /// <summary>Can this host do it?</summary>
    public static bool IsSupported { get; } = RuntimeInformation.ProcessArchitecture == Architecture.X64 && OperatingSystem.IsLinux();

    /// <summary>The process identifier.</summary>
    public int Id { get; }

    /// <summary>Starts a program.</summary>
    /// <param name="name">What it is called, in lists of processes.</param>
    /// <param name="image">An executable file for x86-64.</param>
    /// <exception cref="IOException">The host refuses.</exception>
    public static unsafe HelperProcess Start(string name, ReadOnlySpan<byte> image)
    {
        int file = -1;
        try
        {
            file = NativeMemoryMap.CreateFile(name, (nuint)image.Length);
            byte* view = NativeMemoryMap.MapFile(null, (nuint)image.Length, NativeMemoryMap.ProtectRead | NativeMemoryMap.ProtectWrite, file, 0);
            image.CopyTo(new Span<byte>(view, image.Length));
            NativeMemoryMap.Unmap(view, (nuint)image.Length);
            return Start($"/proc/{Environment.ProcessId}/fd/{file}");
        }
        catch (Win32Exception)
        {
            // No such files here, or none that may be executed.
            return StartFromFile(image);
        }
        finally
        {
            if (file >= 0) NativeMemoryMap.CloseFile(file);
        }
    }

    /// <summary>Writes all of <paramref name="bytes"/>. False if the process has gone or did not take them within <paramref name="limit"/>.</summary>
    public bool TryWrite(ReadOnlySpan<byte> bytes, TimeSpan limit)
    {
        long start = Stopwatch.GetTimestamp();
        try
        {
            while (!bytes.IsEmpty)
            {
                if (!Wait(_input, PollOut, start, limit)) return false;
                int part = Math.Min(bytes.Length, AtOnce);
                _input.Write(bytes[..part]);
                bytes = bytes[part..];
            }
        }
        catch (IOException)
        {
            return false;
        }

        return true;
    }

    /// <summary>Reads all of <paramref name="bytes"/>. False if the process has gone or did not give them within <paramref name="limit"/>.</summary>
    public bool TryRead(Span<byte> bytes, TimeSpan limit)
    {
        long start = Stopwatch.GetTimestamp();
        while (!bytes.IsEmpty)
        {
            if (!Wait(_output, PollIn, start, limit)) return false;
            int read = _output.Read(bytes);
            if (read == 0) return false;
            bytes = bytes[read..];
        }

        return true;
    }

    /// <summary>Kills and reaps it.</summary>
    public void Dispose()
    {
        try
        {
            _process.Kill();
        }
        catch (InvalidOperationException)
        {
            // It has gone already.
        }

        _process.WaitForExit();
        _input.Dispose();
        _output.Dispose();
        _process.StandardError.Dispose();
        _process.Dispose();
    }

    private static HelperProcess Start(string path)
    {
        // All three streams: the runtime then leaves the terminal's settings alone.
        var information = new ProcessStartInfo(path)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        return new HelperProcess(Process.Start(information)!);
    }

    /// <summary>Starts a program from a file of its own, for hosts where <see cref="Start(string, ReadOnlySpan{byte})"/> has no other way.</summary>
    internal static HelperProcess StartFromFile(ReadOnlySpan<byte> image)
    {
        string folder = Directory.CreateTempSubdirectory("ringfence").FullName;
        try
        {
            string path = Path.Combine(folder, "probe");
            File.WriteAllBytes(path, image);
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserExecute);
            return Start(path);
        }
        catch (Win32Exception e)
        {
            throw new IOException($"the host does not start a child process: {e.Message}", e);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Waits until <paramref name="pipe"/> is ready or broken. False if the limit came first.</summary>
    private static unsafe bool Wait(PipeStream pipe, short events, long start, TimeSpan limit)
    {
        const int Interrupted = 4;
        while (true)
        {
            var poll = new PollDescriptor { Descriptor = (int)pipe.SafePipeHandle.DangerousGetHandle(), Events = events };
            double left = (limit - Stopwatch.GetElapsedTime(start)).TotalMilliseconds;
            int ready = Poll(&poll, 1, (int)Math.Clamp(Math.Ceiling(left), 0, int.MaxValue));
            if (ready >= 0 || Marshal.GetLastPInvokeError() != Interrupted) return ready > 0;
        }
    }

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static unsafe partial int Poll(PollDescriptor* descriptors, nuint count, int milliseconds);

    private struct PollDescriptor
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }
}
