namespace Ringfence.Machines;

/// <summary>A trace of every exit in the Chrome trace event format, which Perfetto and chrome://tracing open.</summary>
public sealed record ExitTraceOptions
{
    /// <summary>Default of <see cref="MaximumBytes"/>: 256 MiB.</summary>
    public const long DefaultMaximumBytes = 256L << 20;

    /// <summary>Where it is written to. The machine writes until its end, and leaves the stream open.</summary>
    public required Stream Output { get; init; }

    /// <summary>
    /// Most bytes that are written. Exits beyond are counted and left out; the trace stays well-formed and says at its end how many there were.
    /// </summary>
    public long MaximumBytes { get; init; } = DefaultMaximumBytes;
}
