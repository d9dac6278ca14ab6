namespace Ringfence.Machines;

/// <summary>The other end of the guest's virtio console: a terminal that has a size.</summary>
public sealed class TerminalConsole : InteractiveConsole
{
    private readonly Action<ushort, ushort> _resize;

    internal TerminalConsole(string name, int transcriptCharacters, Action<ushort, ushort> resize)
        : base(name, transcriptCharacters) => _resize = resize;

    /// <summary>Tells the guest the terminal's size, as often as it changes; also before the machine is started.</summary>
    /// <param name="columns">Characters of a line; 0: not known.</param>
    /// <param name="rows">Lines; 0: not known.</param>
    public void SetSize(ushort columns, ushort rows) => _resize(columns, rows);
}
