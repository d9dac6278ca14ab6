namespace Ringfence.Devices;

/// <summary>
/// One function on the PCI bus: 256 bytes of configuration space with a mask of the bits the guest may write (PCI Local Bus
/// Specification 3.0, chapter 6). Devices derive from it and look at <see cref="OnConfigurationWritten"/>.
/// </summary>
internal class PciFunction : IStateful, IResettable
{
    /// <summary>Bytes of configuration space.</summary>
    public const int Length = 256;

    private const int Command = 0x04;
    private const int Status = 0x06;
    private const int HeaderType = 0x0e;
    private const int FirstBar = 0x10;
    private const int InterruptLineRegister = 0x3c;

    private readonly string _name;
    private readonly byte[] _initial = new byte[Length];
    private readonly byte[] _values = new byte[Length];
    private readonly byte[] _writable = new byte[Length];
    private readonly byte[] _writeOneToClear = new byte[Length];

    /// <summary>Makes a function.</summary>
    /// <param name="name">Its name in the machine's state.</param>
    /// <param name="vendor">Vendor ID.</param>
    /// <param name="device">Device ID.</param>
    /// <param name="classCode">Base class, subclass and programming interface, 24 bits.</param>
    /// <param name="revision">Revision ID.</param>
    /// <param name="multifunction">Has the device other functions?</param>
    public PciFunction(string name, ushort vendor, ushort device, uint classCode, byte revision = 0, bool multifunction = false)
    {
        _name = name;
        Define(0x00, 4, vendor | ((uint)device << 16), 0);
        Define(0x08, 4, (classCode << 8) | revision, 0);
        Define(Command, 2, 0, 0x0547);
        DefineWriteOneToClear(Status, 2, 0xf900);
        Define(0x0c, 1, 0, 0xff);
        Define(0x0d, 1, 0, 0xff);
        Define(HeaderType, 1, multifunction ? 0x80u : 0, 0);
        Define(InterruptLineRegister, 1, 0, 0xff);
    }

    /// <inheritdoc/>
    public string StateName => _name;

    /// <inheritdoc/>
    public virtual int StateVersion => 1;

    /// <summary>Does the function answer I/O accesses?</summary>
    public bool IoEnabled => (_values[Command] & 1) != 0;

    /// <summary>Does the function answer memory accesses?</summary>
    public bool MemoryEnabled => (_values[Command] & 2) != 0;

    /// <summary>May the function access memory by itself?</summary>
    public bool BusMasterEnabled => (_values[Command] & 4) != 0;

    /// <summary>Sets a register's reset value and which of its bits the guest may write.</summary>
    public void Define(int offset, int size, uint value, uint writable)
    {
        for (int i = 0; i < size; i++)
        {
            _initial[offset + i] = _values[offset + i] = (byte)(value >> (8 * i));
            _writable[offset + i] = (byte)(writable >> (8 * i));
        }
    }

    /// <summary>Sets which bits of a register the guest clears by writing ones.</summary>
    public void DefineWriteOneToClear(int offset, int size, uint bits)
    {
        for (int i = 0; i < size; i++) _writeOneToClear[offset + i] = (byte)(bits >> (8 * i));
    }

    /// <summary>Defines a 32-bit base address register.</summary>
    /// <param name="index">0 to 5.</param>
    /// <param name="size">Bytes decoded: a power of two, at least 4 of I/O or 16 of memory.</param>
    /// <param name="io">I/O ports instead of memory.</param>
    public void DefineBar(int index, uint size, bool io) => Define(FirstBar + (4 * index), 4, io ? 1u : 0, ~(size - 1));

    /// <summary>The address in a base address register, without its type bits.</summary>
    public uint BarAddress(int index)
    {
        uint value = Read(FirstBar + (4 * index), 4);
        return (value & 1) != 0 ? value & ~3u : value & ~15u;
    }

    /// <summary>Reads <paramref name="size"/> (1 to 4) bytes; beyond the space are all ones.</summary>
    public virtual uint Read(int offset, int size)
    {
        uint value = 0;
        for (int i = 0; i < size; i++)
            value |= (offset + i < Length ? _values[offset + i] : 0xffu) << (8 * i);
        return value;
    }

    /// <summary>Writes what may be written of <paramref name="size"/> (1 to 4) bytes.</summary>
    public void Write(int offset, int size, uint value)
    {
        for (int i = 0; i < size && offset + i < Length; i++)
        {
            int at = offset + i;
            byte written = (byte)(value >> (8 * i));
            _values[at] = (byte)((((_values[at] & ~_writable[at]) | (written & _writable[at]))) & ~(written & _writeOneToClear[at]));
        }

        OnConfigurationWritten(offset, size);
    }

    /// <inheritdoc/>
    public virtual void Reset()
    {
        _initial.CopyTo(_values, 0);
        OnConfigurationWritten(0, Length);
    }

    /// <inheritdoc/>
    public virtual void DescribeState(IStateVisitor visitor)
    {
        visitor.Bytes("configuration", _values);
        OnConfigurationWritten(0, Length);
    }

    /// <summary>Called after the guest wrote some configuration space: addresses and enables may have changed.</summary>
    protected virtual void OnConfigurationWritten(int offset, int size)
    {
    }
}
