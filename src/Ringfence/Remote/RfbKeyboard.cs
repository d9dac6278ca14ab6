using Ringfence.Devices;
using Ringfence.Machines;

namespace Ringfence.Remote;

/// <summary>
/// A client's keys, named by X keysyms (RFC 6143 7.5.4), as keys of a US keyboard. Modifiers are passed on; where a character needs Shift held
/// otherwise than the client holds it, Shift is changed for that key.
/// </summary>
internal sealed class RfbKeyboard(Screen screen)
{
    private static readonly Dictionary<uint, Key> Keys = new()
    {
        [0xff08] = Key.Backspace,
        [0xff09] = Key.Tab,
        [0xfe20] = Key.Tab,
        [0xff0a] = Key.Enter,
        [0xff0d] = Key.Enter,
        [0xff13] = Key.Pause,
        [0xff14] = Key.ScrollLock,
        [0xff15] = Key.PrintScreen,
        [0xff1b] = Key.Escape,
        [0xffff] = Key.Delete,
        [0xff50] = Key.Home,
        [0xff51] = Key.Left,
        [0xff52] = Key.Up,
        [0xff53] = Key.Right,
        [0xff54] = Key.Down,
        [0xff55] = Key.PageUp,
        [0xff56] = Key.PageDown,
        [0xff57] = Key.End,
        [0xff61] = Key.PrintScreen,
        [0xff63] = Key.Insert,
        [0xff67] = Key.Menu,
        [0xff6b] = Key.Pause,
        [0xff7f] = Key.NumLock,
        [0xff8d] = Key.KeypadEnter,
        [0xff95] = Key.Keypad7,
        [0xff96] = Key.Keypad4,
        [0xff97] = Key.Keypad8,
        [0xff98] = Key.Keypad6,
        [0xff99] = Key.Keypad2,
        [0xff9a] = Key.Keypad9,
        [0xff9b] = Key.Keypad3,
        [0xff9c] = Key.Keypad1,
        [0xff9d] = Key.Keypad5,
        [0xff9e] = Key.Keypad0,
        [0xff9f] = Key.KeypadPeriod,
        [0xffaa] = Key.KeypadMultiply,
        [0xffab] = Key.KeypadPlus,
        [0xffad] = Key.KeypadMinus,
        [0xffae] = Key.KeypadPeriod,
        [0xffaf] = Key.KeypadDivide,
        [0xffb0] = Key.Keypad0,
        [0xffb1] = Key.Keypad1,
        [0xffb2] = Key.Keypad2,
        [0xffb3] = Key.Keypad3,
        [0xffb4] = Key.Keypad4,
        [0xffb5] = Key.Keypad5,
        [0xffb6] = Key.Keypad6,
        [0xffb7] = Key.Keypad7,
        [0xffb8] = Key.Keypad8,
        [0xffb9] = Key.Keypad9,
        [0xffbe] = Key.F1,
        [0xffbf] = Key.F2,
        [0xffc0] = Key.F3,
        [0xffc1] = Key.F4,
        [0xffc2] = Key.F5,
        [0xffc3] = Key.F6,
        [0xffc4] = Key.F7,
        [0xffc5] = Key.F8,
        [0xffc6] = Key.F9,
        [0xffc7] = Key.F10,
        [0xffc8] = Key.F11,
        [0xffc9] = Key.F12,
        [0xffe1] = Key.LeftShift,
        [0xffe2] = Key.RightShift,
        [0xffe3] = Key.LeftControl,
        [0xffe4] = Key.RightControl,
        [0xffe5] = Key.CapsLock,
        [0xffe7] = Key.LeftWindows,
        [0xffe8] = Key.RightWindows,
        [0xffe9] = Key.LeftAlt,
        [0xffea] = Key.RightAlt,
        [0xffeb] = Key.LeftWindows,
        [0xffec] = Key.RightWindows,
    };

    // As QEMU's message has them: a code of set 1, with 80h where E0 comes before it.
    private static readonly Dictionary<uint, Key> KeyCodes = Enum.GetValues<Key>().ToDictionary(
        key => key == Key.Pause ? 0xc6u : (uint)ScanCodes.Translate((byte)key) | ((ushort)key > byte.MaxValue ? 0x80u : 0));

    private readonly HashSet<Key> _held = [];
    private bool _usesCapsLock;

    /// <summary>A key was pressed or released.</summary>
    public void Press(uint keysym, bool down)
    {
        bool isCharacter = keysym is > ' ' and < 0x7f;
        bool needsShift = false;
        if (!Keys.TryGetValue(keysym, out Key key) && (keysym is < ' ' or >= 0x7f || !UsKeyboard.TryFind((char)keysym, out key, out needsShift))) return;
        if (!down)
        {
            Release(key);
            return;
        }

        if (key == Key.CapsLock) _usesCapsLock = true;
        _held.Add(key);
        bool left = _held.Contains(Key.LeftShift);
        bool right = _held.Contains(Key.RightShift);
        // With Caps Lock in use letters are the guest's business.
        if (!isCharacter || needsShift == (left || right) || (_usesCapsLock && char.IsAsciiLetter((char)keysym)))
        {
            screen.KeyDown(key);
            return;
        }

        if (needsShift) screen.KeyDown(Key.LeftShift);
        if (!needsShift && left) screen.KeyUp(Key.LeftShift);
        if (!needsShift && right) screen.KeyUp(Key.RightShift);
        screen.KeyDown(key);
        if (needsShift) screen.KeyUp(Key.LeftShift);
        if (!needsShift && left) screen.KeyDown(Key.LeftShift);
        if (!needsShift && right) screen.KeyDown(Key.RightShift);
    }

    /// <summary>
    /// A key was pressed or released, and the client says which one. That counts where the keysym is none of a US keyboard's characters: those arrive as
    /// they were typed, whatever layout they were typed on and whether or not Shift was pressed for them, as in a browser that is driven by a program.
    /// </summary>
    public void PressCode(uint code, uint keysym, bool down)
    {
        if (keysym is > ' ' and < 0x7f || !KeyCodes.TryGetValue(code, out Key key))
        {
            Press(keysym, down);
        }
        else if (down)
        {
            _held.Add(key);
            screen.KeyDown(key);
        }
        else if (_held.Remove(key))
        {
            screen.KeyUp(key);
        }
    }

    /// <summary>The client has gone: its keys are released.</summary>
    public void ReleaseAll()
    {
        foreach (Key key in _held) screen.KeyUp(key);
        _held.Clear();
    }

    private void Release(Key key)
    {
        if (_held.Remove(key))
        {
            screen.KeyUp(key);
            return;
        }

        // On other layouts a key may be released as another character than it was pressed as, when Shift is let go first.
        foreach (Key held in _held.Where(k => k is not (Key.LeftShift or Key.RightShift or Key.LeftControl or Key.RightControl or Key.LeftAlt or Key.RightAlt)).ToArray()) Release(held);
    }
}
