using System.Text.RegularExpressions;
using Ringfence.Devices;
using Ringfence.Devices.Video;

namespace Ringfence.Machines;

/// <summary>
/// A machine's screen, keyboard and mouse, for programs that look and type as a person does. All members may be used by any thread at any
/// time; when the machine has ended the screen shows its last picture, and keys go nowhere.
/// </summary>
public sealed class Screen
{
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(20);

    private readonly IVideoOutput _output;
    private readonly Action<int, int, int, int> _moveMouse;
    private readonly KeyboardInput _keys;
    private readonly Lock _sync = new();
    private VideoPicture _picture;
    private long _generation;
    private volatile string? _ended;

    /// <summary>Makes the outside of a display adapter, a keyboard and a mouse.</summary>
    /// <param name="output">What the adapter shows.</param>
    /// <param name="pressKey">Presses or releases a key; false if the keyboard cannot take it now, true if it never will.</param>
    /// <param name="moveMouse">Moves the mouse: to the right, away from the user, steps of the wheel towards the user, buttons.</param>
    internal Screen(IVideoOutput output, Func<Key, bool, bool> pressKey, Action<int, int, int, int> moveMouse)
    {
        _output = output;
        _moveMouse = moveMouse;
        _keys = new KeyboardInput(pressKey);
    }

    /// <summary>Size in pixels; 0 by 0 while the display adapter is off.</summary>
    public (int Width, int Height) Size => _output.Size;

    /// <summary>
    /// A number that has grown whenever the picture differs from the one at the last call; so has that of a picture of another size. An idle
    /// screen costs nothing to ask.
    /// </summary>
    public long Generation
    {
        get
        {
            lock (_sync) return Update();
        }
    }

    /// <summary>
    /// Time between two keys of <see cref="TypeText"/> and <see cref="PressKey"/>: a PC's firmware keeps no more than 15 keys that the guest has
    /// not read.
    /// </summary>
    public TimeSpan KeyInterval { get; set; } = TimeSpan.FromMilliseconds(20);

    /// <summary>What the adapter shows, for viewers of the library.</summary>
    internal IVideoOutput Output => _output;

    /// <summary>A picture of the screen.</summary>
    public ScreenImage Capture()
    {
        lock (_sync)
        {
            Update();
            return new ScreenImage(_picture);
        }
    }

    /// <summary>The characters of a text mode, with their colors; null in a graphics mode and while the screen is dark or off.</summary>
    public TextScreen? ReadText() => _output.ReadCells();

    /// <summary>Waits until the screen shows <paramref name="text"/> in one of its rows.</summary>
    /// <param name="text">The text, compared character by character.</param>
    /// <param name="timeout">Host time to wait.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <returns>The screen that shows it.</returns>
    /// <exception cref="TimeoutException">It does not; the message shows the screen.</exception>
    /// <exception cref="MachineEndedException">The machine has ended without showing it.</exception>
    public Task<TextScreen> WaitForTextAsync(string text, TimeSpan timeout, CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(text);
        return WaitAsync($"\"{text}\"", screen => screen.Lines.Any(line => line.Contains(text, StringComparison.Ordinal)), timeout, cancellation);
    }

    /// <summary>Waits until the screen's rows, with line feeds between them, match <paramref name="pattern"/>.</summary>
    /// <param name="pattern">The pattern.</param>
    /// <param name="timeout">Host time to wait.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <returns>The screen that matches.</returns>
    /// <exception cref="TimeoutException">It does not; the message shows the screen.</exception>
    /// <exception cref="MachineEndedException">The machine has ended without showing it.</exception>
    public Task<TextScreen> WaitForTextAsync(Regex pattern, TimeSpan timeout, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        return WaitAsync($"/{pattern}/", screen => pattern.IsMatch(screen.ToString()), timeout, cancellation);
    }

    /// <summary>Presses a key and holds it. Keys reach the guest in order, as soon as it reads them.</summary>
    public void KeyDown(Key key) => _keys.Add(key, true);

    /// <summary>Releases a key.</summary>
    public void KeyUp(Key key) => _keys.Add(key, false);

    /// <summary>Presses keys together, such as Control, Alt and Delete, and releases them in the opposite order.</summary>
    public void PressKey(params ReadOnlySpan<Key> keys)
    {
        for (int i = 0; i < keys.Length; i++) _keys.Add(keys[i], true, i == 0 ? KeyInterval : default);
        for (int i = keys.Length - 1; i >= 0; i--) _keys.Add(keys[i], false);
    }

    /// <summary>Can a character be typed on a US keyboard?</summary>
    public static bool CanType(char character) => UsKeyboard.TryFind(character, out _, out _);

    /// <summary>Types a text on a US keyboard; a line feed is the Enter key.</summary>
    /// <exception cref="ArgumentException">It has characters that the keyboard has not; nothing was typed.</exception>
    public void TypeText(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        foreach (char character in text)
            if (!CanType(character)) throw new ArgumentException($"A US keyboard cannot type U+{(int)character:X4}.", nameof(text));
        foreach (char character in text)
        {
            _ = UsKeyboard.TryFind(character, out Key key, out bool isShifted);
            if (isShifted) PressKey(Key.LeftShift, key);
            else PressKey(key);
        }
    }

    /// <summary>Ends when the guest's keyboard has taken all keys so far.</summary>
    /// <exception cref="TimeoutException">The guest does not read them.</exception>
    public Task WaitForKeysAsync(TimeSpan timeout, CancellationToken cancellation = default) => _keys.Drained().WaitAsync(timeout, cancellation);

    /// <summary>Moves the mouse.</summary>
    /// <param name="x">Counts to the right.</param>
    /// <param name="y">Counts downwards on the screen.</param>
    /// <param name="wheel">Steps of the wheel towards the user.</param>
    /// <param name="buttons">Buttons held: bits 0 to 2 are left, right, middle.</param>
    public void MoveMouse(int x, int y, int wheel = 0, int buttons = 0) => _moveMouse(x, -y, wheel, buttons);

    /// <summary>Nothing will be shown any more: waits get their answer.</summary>
    internal void Complete(string reason) => _ended = reason;

    private long Update()
    {
        _output.Draw(ref _picture, ref _generation);
        return _generation;
    }

    private async Task<TextScreen> WaitAsync(string description, Func<TextScreen, bool> isFound, TimeSpan timeout, CancellationToken cancellation)
    {
        long end = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        while (true)
        {
            // Asked before the screen is read: what was shown last counts.
            string? ended = _ended;
            TextScreen? screen = ReadText();
            if (screen is not null && isFound(screen)) return screen;
            if (ended is not null) throw new MachineEndedException($"The screen did not show {description}: {ended} {Describe(screen)}");
            if (Environment.TickCount64 >= end) throw new TimeoutException($"The screen did not show {description} within {timeout.TotalSeconds:0.###} s. {Describe(screen)}");
            await Task.Delay(PollInterval, cancellation).ConfigureAwait(false);
        }
    }

    private string Describe(TextScreen? screen)
    {
        if (screen is not null) return $"It shows:{Environment.NewLine}{screen.ToString().TrimEnd('\n')}";
        (int width, int height) = Size;
        return width == 0 ? "It is off." : $"It shows a picture of {width}x{height} pixels.";
    }
}
