using Ringfence.Machines;

namespace Ringfence.Remote;

/// <summary>A client's pointer, which says where it is, as a mouse, which says how far it has moved.</summary>
internal sealed class RfbPointer(Screen screen)
{
    private (int X, int Y)? _at;
    private int _buttons;

    /// <summary>The pointer is somewhere (RFC 6143 7.5.5).</summary>
    /// <param name="buttons">Bits 0 to 2: left, middle, right; 3 and 4: a step of the wheel up, down.</param>
    /// <param name="x">Pixels from the left.</param>
    /// <param name="y">Pixels from the top.</param>
    public void Move(int buttons, int x, int y)
    {
        int pressed = buttons & ~_buttons;
        int wheel = ((pressed >> 4) & 1) - ((pressed >> 3) & 1);
        (int lastX, int lastY) = _at ?? (x, y);
        bool isNew = buttons != _buttons;
        _at = (x, y);
        _buttons = buttons;
        if (isNew || x != lastX || y != lastY) screen.MoveMouse(x - lastX, y - lastY, wheel, Held(buttons));
    }

    /// <summary>The client has gone: its buttons are released.</summary>
    public void Release()
    {
        if (Held(_buttons) != 0) screen.MoveMouse(0, 0);
        _buttons = 0;
    }

    private static int Held(int buttons) => (buttons & 1) | ((buttons >> 1) & 2) | ((buttons << 1) & 4);
}
