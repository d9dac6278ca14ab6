namespace Ringfence.Cli.Running;

/// <summary>What a key sequence asks the monitor for.</summary>
internal enum ConsoleRequest
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Stop the machine (Ctrl-A X).</summary>
    Quit,

    /// <summary>Show the keys (Ctrl-A H).</summary>
    Help,
}

/// <summary>
/// Separates what is typed for the guest from what is typed for the monitor. Ctrl-A begins a request; Ctrl-A twice sends one
/// Ctrl-A to the guest; anything else after it is dropped.
/// </summary>
internal sealed class EscapeDecoder
{
    private const byte Escape = 1;
    private const byte ControlX = 0x18;
    private const byte ControlH = 8;
    private bool _escaped;

    /// <summary>Takes one byte.</summary>
    /// <param name="value">The byte.</param>
    /// <param name="guest">Receives it if it is for the guest.</param>
    public ConsoleRequest Take(byte value, List<byte> guest)
    {
        if (!_escaped)
        {
            if (value == Escape) _escaped = true;
            else guest.Add(value);
            return ConsoleRequest.None;
        }

        _escaped = false;
        switch (value)
        {
            case (byte)'x' or (byte)'X' or ControlX:
                return ConsoleRequest.Quit;
            case (byte)'h' or (byte)'H' or (byte)'?' or ControlH:
                return ConsoleRequest.Help;
            case Escape:
                guest.Add(Escape);
                return ConsoleRequest.None;
            default:
                return ConsoleRequest.None;
        }
    }
}
