namespace Ringfence.Devices;

/// <summary>An input that several lines may drive; it is high while any of them is.</summary>
/// <param name="changed">Called with the new level of the input.</param>
internal sealed class WiredOr(Action<bool> changed)
{
    private readonly List<InterruptLine> _lines = [];

    /// <summary>The level of the input.</summary>
    public bool Level { get; private set; }

    /// <summary>Makes one more line that drives the input.</summary>
    public InterruptLine AddLine()
    {
        InterruptLine line = new(_ => Update());
        _lines.Add(line);
        return line;
    }

    private void Update()
    {
        bool level = false;
        foreach (InterruptLine line in _lines) level |= line.Level;
        if (level == Level) return;
        Level = level;
        changed(level);
    }
}
