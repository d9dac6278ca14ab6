using System.Diagnostics;
using System.Text;
using Ringfence.Guests;

namespace Ringfence.Tests.Guests;

/// <summary>The built-in guest in QEMU's own interpreter (TCG): an independent judge of the guest.</summary>
internal sealed class QemuSession : GuestSession
{
    private readonly string _image;
    private readonly Process _process;
    private readonly StringBuilder _output = new();
    private readonly SemaphoreSlim _arrived = new(0);
    private int _readTo;

    private QemuSession(string image, Process process)
    {
        _image = image;
        _process = process;
        _ = Task.Run(ReceiveAsync);
    }

    /// <summary>Where QEMU is, or null.</summary>
    public static string? Program { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "")
        .Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
        .Select(folder => Path.Combine(folder, "qemu-system-x86_64"))
        .FirstOrDefault(File.Exists);

    public TimeSpan ProcessorTime
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    /// <summary>Boots the guest and waits for a text.</summary>
    public static async Task<QemuSession> StartAsync(string awaited, params string[] options)
    {
        string image = Path.GetTempFileName();
        await File.WriteAllBytesAsync(image, BuiltInGuest.CreateImage());
        ProcessStartInfo start = new(Program!)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (string argument in (string[])
            [
                "-nodefaults", "-kernel", image, "-accel", "tcg", "-m", "64", "-display", "none", "-serial", "stdio", "-no-reboot",
                "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", .. options,
            ])
        {
            start.ArgumentList.Add(argument);
        }

        QemuSession session = new(image, Process.Start(start)!);
        await session.WaitForAsync(awaited);
        return session;
    }

    public override async Task TypeAsync(string text)
    {
        await _process.StandardInput.BaseStream.WriteAsync(Encoding.Latin1.GetBytes(text));
        await _process.StandardInput.BaseStream.FlushAsync();
    }

    public override async Task<string> WaitForAsync(string text)
    {
        Stopwatch watch = Stopwatch.StartNew();
        while (true)
        {
            lock (_output)
            {
                string all = _output.ToString();
                int found = all.IndexOf(text, _readTo, StringComparison.Ordinal);
                if (found >= 0)
                {
                    int start = _readTo;
                    _readTo = found + text.Length;
                    return all[start.._readTo];
                }

                if (watch.Elapsed > Patience) throw new TimeoutException($"\"{text}\" did not come. Output so far:\n{all}");
            }

            await _arrived.WaitAsync(TimeSpan.FromSeconds(1));
        }
    }

    public override async Task<int> WaitForExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(Patience);
        return _process.ExitCode;
    }

    public override async ValueTask DisposeAsync()
    {
        if (!_process.HasExited) _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
        File.Delete(_image);
    }

    private async Task ReceiveAsync()
    {
        byte[] buffer = new byte[4096];
        int count;
        while ((count = await _process.StandardOutput.BaseStream.ReadAsync(buffer)) > 0)
        {
            lock (_output) _output.Append(Encoding.Latin1.GetString(buffer, 0, count).Replace("\r", "", StringComparison.Ordinal));
            _arrived.Release();
        }
    }
}
