using System.Runtime.InteropServices;

namespace Ringfence.Cli.Host;

/// <summary>
/// The terminal at standard input. While it is raw, keys come one by one and none of them means anything to the host.
/// Its old mode comes back with <see cref="Restore"/>, which any thread may call at any time, also twice.
/// </summary>
internal sealed partial class Terminal : IDisposable
{
    private const int StandardInput = 0;
    private const int StandardOutput = 1;
    private const int StandardError = 2;
    private const int ApplyNow = 0;

    // struct termios is handed back to the host as it came; this is more than it has on any Linux.
    private const int ModeBytes = 256;

    private readonly Lock _lock = new();
    private readonly byte[] _oldMode;
    private readonly byte[] _rawMode;
    private bool _isRaw;
    private bool _closed;

    private Terminal(byte[] oldMode)
    {
        _oldMode = oldMode;
        _rawMode = [.. oldMode];
        MakeRaw(_rawMode);
    }

    /// <summary>Is standard output a terminal?</summary>
    public static bool IsOutputTerminal => IsTerminal(StandardOutput) == 1;

    /// <summary>Is standard error a terminal?</summary>
    public static bool IsErrorTerminal => IsTerminal(StandardError) == 1;

    /// <summary>Is standard input a terminal?</summary>
    public static bool IsInputTerminal => IsTerminal(StandardInput) == 1;

    /// <summary>Makes the terminal at standard input raw.</summary>
    /// <returns>Null if there is none, or if this process is in its background and would be stopped for touching it.</returns>
    public static Terminal? TryOpen()
    {
        if (!IsInputTerminal || GetForegroundGroup(StandardInput) != GetProcessGroup()) return null;
        byte[] mode = new byte[ModeBytes];
        if (GetMode(StandardInput, mode) != 0) return null;
        Terminal terminal = new(mode);
        terminal.Enter();
        return terminal;
    }

    /// <summary>Makes the terminal raw (again: after the process was stopped and continued).</summary>
    public void Enter()
    {
        lock (_lock)
        {
            if (_closed) return;
            _isRaw = SetMode(StandardInput, ApplyNow, _rawMode) == 0;
        }
    }

    /// <summary>Gives the terminal its old mode back, for good.</summary>
    public void Restore()
    {
        lock (_lock)
        {
            _closed = true;
            if (!_isRaw) return;
            _isRaw = false;
            _ = SetMode(StandardInput, ApplyNow, _oldMode);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Restore();

    [LibraryImport("libc", EntryPoint = "isatty")]
    private static partial int IsTerminal(int file);

    [LibraryImport("libc", EntryPoint = "tcgetattr")]
    private static partial int GetMode(int file, [Out] byte[] mode);

    [LibraryImport("libc", EntryPoint = "tcsetattr")]
    private static partial int SetMode(int file, int when, byte[] mode);

    [LibraryImport("libc", EntryPoint = "cfmakeraw")]
    private static partial void MakeRaw([In, Out] byte[] mode);

    [LibraryImport("libc", EntryPoint = "tcgetpgrp")]
    private static partial int GetForegroundGroup(int file);

    [LibraryImport("libc", EntryPoint = "getpgrp")]
    private static partial int GetProcessGroup();
}
