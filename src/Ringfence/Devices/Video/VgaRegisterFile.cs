namespace Ringfence.Devices.Video;

/// <summary>
/// Indexed registers of a VGA: an index and, behind it, bytes of which some bits exist. Registers that do not exist read as zero, as those of the
/// IBM VGA do. Used under the machine lock.
/// </summary>
/// <param name="name">Prefix of the fields' names.</param>
/// <param name="indexMask">Bits of the index that exist.</param>
/// <param name="bits">Bits of each register that exist.</param>
/// <param name="changes">Told of every change.</param>
internal abstract class VgaRegisterFile(string name, byte indexMask, byte[] bits, VideoChanges changes)
{
    private readonly byte[] _values = new byte[bits.Length];
    private byte _index;

    /// <summary>Accesses of registers that do not exist.</summary>
    public ulong MisuseCount { get; private set; }

    /// <summary>The index register.</summary>
    public byte Index
    {
        get => _index;
        set => _index = (byte)(value & indexMask);
    }

    /// <summary>Told of every change.</summary>
    protected VideoChanges Changes => changes;

    /// <summary>All registers.</summary>
    public ReadOnlySpan<byte> Values => _values;

    /// <summary>A register.</summary>
    public byte this[int index] => _values[index];

    /// <summary>Reads the register the index stands at.</summary>
    public byte Read()
    {
        if (_index < _values.Length) return _values[_index];
        MisuseCount++;
        return 0;
    }

    /// <summary>Writes the register the index stands at.</summary>
    public void Write(byte value)
    {
        if (_index < _values.Length) Write(_index, value);
        else MisuseCount++;
    }

    /// <summary>Writes a register.</summary>
    public virtual void Write(int index, byte value) => changes.Set(ref _values[index], (byte)(value & bits[index]));

    /// <summary>All registers become zero.</summary>
    public virtual void Reset()
    {
        _values.AsSpan().Clear();
        _index = 0;
        changes.Raise();
    }

    /// <summary>Visits the registers.</summary>
    public virtual void DescribeState(IStateVisitor visitor)
    {
        visitor.Bytes(name + "_registers", _values);
        visitor.Field(name + "_index", ref _index);
        for (int i = 0; i < bits.Length; i++) _values[i] &= bits[i];
        _index &= indexMask;
        changes.Raise();
    }
}
