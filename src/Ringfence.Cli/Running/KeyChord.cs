using Ringfence.Devices;
using Ringfence.Machines;

namespace Ringfence.Cli.Running;

/// <summary>A key of the guest's keyboard with the keys held while it is pressed.</summary>
internal readonly record struct KeyChord(Key Key, bool Shift = false, bool Control = false, bool Alt = false)
{
    /// <summary>Presses and releases it.</summary>
    public void Press(Screen screen)
    {
        Span<Key> keys = stackalloc Key[4];
        int count = 0;
        if (Control) keys[count++] = Key.LeftControl;
        if (Alt) keys[count++] = Key.LeftAlt;
        if (Shift) keys[count++] = Key.LeftShift;
        keys[count++] = Key;
        screen.PressKey(keys[..count]);
    }
}
