namespace Ringfence.Devices;

/// <summary>
/// A part of a machine that can describe its state by name and version: for snapshots, comparison and dumps.
/// One method serves saving and restoring, so that the two cannot disagree.
/// </summary>
public interface IStateful
{
    /// <summary>Unique name of the part within its machine, such as <c>pit</c> or <c>lapic0</c>.</summary>
    string StateName { get; }

    /// <summary>Version of the described fields; raised when their meaning changes.</summary>
    int StateVersion { get; }

    /// <summary>Visits every field of the part's state. A restoring visitor assigns through the references.</summary>
    void DescribeState(IStateVisitor visitor);
}

/// <summary>Receives the fields of an <see cref="IStateful"/>; either reads or replaces each value.</summary>
public interface IStateVisitor
{
    /// <summary>Visits an integer, boolean or enumeration field.</summary>
    void Field<T>(string name, ref T value) where T : unmanaged;

    /// <summary>Visits a block of bytes of fixed length.</summary>
    void Bytes(string name, Span<byte> value);
}
