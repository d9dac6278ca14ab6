using Ringfence.Devices;

namespace Ringfence.Cli.Running;

/// <summary>
/// Translates what a terminal sends (ECMA-48, with xterm's and the Linux console's function keys) to the keys that were pressed. A terminal sends
/// each key in one piece: Escape at the end of a piece is the key, before anything else it is a sequence or stands for Alt.
/// </summary>
internal static class TerminalKeys
{
    private const byte Escape = 0x1b;
    private const byte Delete = 0x7f;

    // The characters of keys with Control, from 1Ch on.
    private static readonly Key[] ControlKeys = [Key.Backslash, Key.RightBracket, Key.D6, Key.Minus];

    private static readonly Key[] NumberedKeys =
    [
        default, Key.Home, Key.Insert, Key.Delete, Key.End, Key.PageUp, Key.PageDown, Key.Home, Key.End, default, default, Key.F1, Key.F2, Key.F3,
        Key.F4, Key.F5, default, Key.F6, Key.F7, Key.F8, Key.F9, Key.F10, default, Key.F11, Key.F12,
    ];

    /// <summary>Translates a piece of input. What no key sends is left out.</summary>
    public static List<KeyChord> Decode(ReadOnlySpan<byte> input)
    {
        List<KeyChord> keys = [];
        while (!input.IsEmpty) input = input[Take(input, keys)..];
        return keys;
    }

    /// <returns>Number of bytes taken.</returns>
    private static int Take(ReadOnlySpan<byte> input, List<KeyChord> keys)
    {
        if (input[0] != Escape)
        {
            if (Single(input[0]) is { } key) keys.Add(key);
            return 1;
        }

        if (input.Length == 1)
        {
            keys.Add(new KeyChord(Key.Escape));
            return 1;
        }

        if (input[1] is (byte)'[' or (byte)'O' && input.Length > 2) return TakeSequence(input, keys);
        if (input[1] == Escape)
        {
            keys.Add(new KeyChord(Key.Escape));
            return 1;
        }

        if (Single(input[1]) is { } withAlt) keys.Add(withAlt with { Alt = true });
        return 2;
    }

    /// <summary>A control sequence: numbers with semicolons between them and a final byte.</summary>
    private static int TakeSequence(ReadOnlySpan<byte> input, List<KeyChord> keys)
    {
        int at = 2;
        // The Linux console's F1 to F5.
        if (input[1] == (byte)'[' && input[2] == (byte)'[')
        {
            if (input.Length > 3 && input[3] is >= (byte)'A' and <= (byte)'E') keys.Add(new KeyChord(NumberedKeys[11 + input[3] - 'A']));
            return Math.Min(4, input.Length);
        }

        int[] numbers = [0, 0];
        int index = 0;
        for (; at < input.Length && input[at] is >= 0x20 and < 0x40; at++)
        {
            if (input[at] == (byte)';') index++;
            else if (index < numbers.Length && input[at] is >= (byte)'0' and <= (byte)'9') numbers[index] = Math.Min(999, (numbers[index] * 10) + input[at] - '0');
        }

        if (at == input.Length) return at;
        Key key = (char)input[at] switch
        {
            'A' => Key.Up,
            'B' => Key.Down,
            'C' => Key.Right,
            'D' => Key.Left,
            'F' => Key.End,
            'H' => Key.Home,
            'P' => Key.F1,
            'Q' => Key.F2,
            'R' => Key.F3,
            'S' => Key.F4,
            'Z' => Key.Tab,
            '~' when numbers[0] < NumberedKeys.Length => NumberedKeys[numbers[0]],
            _ => default,
        };
        int modifiers = Math.Max(0, numbers[1] - 1);
        if (key != default) keys.Add(new KeyChord(key, (modifiers & 1) != 0 || input[at] == (byte)'Z', (modifiers & 4) != 0, (modifiers & 2) != 0));
        return at + 1;
    }

    private static KeyChord? Single(byte value) => value switch
    {
        0 => new KeyChord(Key.Space, Control: true),
        (byte)'\t' => new KeyChord(Key.Tab),
        (byte)'\r' => new KeyChord(Key.Enter),
        Delete => new KeyChord(Key.Backspace),
        Escape => new KeyChord(Key.Escape),
        < 0x1b => Typed((char)(value + 0x60)) is { } letter ? letter with { Control = true } : null,
        < 0x20 => new KeyChord(ControlKeys[value - 0x1c], Shift: value >= 0x1e, Control: true),
        < Delete => Typed((char)value),
        _ => null,
    };

    private static KeyChord? Typed(char character) => UsKeyboard.TryFind(character, out Key key, out bool isShifted) ? new KeyChord(key, isShifted) : null;
}
