namespace Ringfence.Machines;

/// <summary>The other end of one of the guest's serial ports.</summary>
public sealed class SerialConsole : InteractiveConsole
{
    internal SerialConsole(string name, int transcriptCharacters)
        : base(name, transcriptCharacters)
    {
    }
}
