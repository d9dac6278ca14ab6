namespace Ringfence.Devices;

/// <summary>Which keys type which characters on a US keyboard.</summary>
public static class UsKeyboard
{
    private const string Unshifted = "`1234567890-=[]\\;',./ \t\n\b\u001b";
    private const string Shifted = "~!@#$%^&*()_+{}|:\"<>?";

    private static readonly Key[] Keys =
    [
        Key.Backquote, Key.D1, Key.D2, Key.D3, Key.D4, Key.D5, Key.D6, Key.D7, Key.D8, Key.D9, Key.D0, Key.Minus, Key.Equal, Key.LeftBracket,
        Key.RightBracket, Key.Backslash, Key.Semicolon, Key.Quote, Key.Comma, Key.Period, Key.Slash, Key.Space, Key.Tab, Key.Enter, Key.Backspace, Key.Escape,
    ];

    private static readonly Key[] Letters =
    [
        Key.A, Key.B, Key.C, Key.D, Key.E, Key.F, Key.G, Key.H, Key.I, Key.J, Key.K, Key.L, Key.M,
        Key.N, Key.O, Key.P, Key.Q, Key.R, Key.S, Key.T, Key.U, Key.V, Key.W, Key.X, Key.Y, Key.Z,
    ];

    /// <summary>Finds the key of a character; carriage return and line feed are the Enter key.</summary>
    /// <param name="character">The character.</param>
    /// <param name="key">Its key.</param>
    /// <param name="isShifted">Is Shift held?</param>
    /// <returns>Whether there is one.</returns>
    public static bool TryFind(char character, out Key key, out bool isShifted)
    {
        isShifted = false;
        if (character == '\r') character = '\n';
        if (char.IsAsciiLetter(character))
        {
            key = Letters[(character | 0x20) - 'a'];
            isShifted = char.IsAsciiLetterUpper(character);
            return true;
        }

        int index = Unshifted.IndexOf(character);
        if (index < 0)
        {
            index = Shifted.IndexOf(character);
            isShifted = index >= 0;
        }

        key = index < 0 ? default : Keys[index];
        return index >= 0;
    }
}
