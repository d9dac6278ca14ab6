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
    private const int ExpansionRomRegister = 0x30;
    private const int CapabilityPointer = 0x34;
    private const int InterruptLineRegister = 0x3c;

    private readonly string _name;
    private readonly byte[] _initial = new byte[Length];
    private readonly byte[] _values = new byte[Length];
    private readonly byte[] _writable = new byte[Length];
    private readonly byte[] _writeOneToClear = new byte[Length];
    private readonly List<PciBar> _bars = [];
    private int _lastCapability;

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

    /// <summary>Sets the subsystem's vendor and ID.</summary>
    public void DefineSubsystem(ushort vendor, ushort id) => Define(0x2c, 4, vendor | ((uint)id << 16), 0);

    /// <summary>Gives the function an interrupt pin: 1 is INTA.</summary>
    public void DefineInterruptPin(int pin) => Define(0x3d, 1, (uint)pin, 0);

    /// <summary>Adds a capability to the list (PCI Local Bus Specification 3.0, 6.7).</summary>
    /// <param name="offset">Where it stands, a multiple of 4 from 40h on.</param>
    /// <param name="id">What it is.</param>
    public void DefineCapability(int offset, byte id)
    {
        Define(Status, 2, Read(Status, 2) | 0x10, 0);
        Define(_lastCapability == 0 ? CapabilityPointer : _lastCapability + 1, 1, (uint)offset, 0);
        Define(offset, 2, id, 0);
        _lastCapability = offset;
    }

    /// <summary>Defines a base address register.</summary>
    /// <param name="index">0 to 5, or <see cref="PciBar.ExpansionRom"/>.</param>
    /// <param name="size">Bytes decoded: a power of two, at least 4 of I/O, 16 of memory or 2 KiB of an expansion ROM.</param>
    /// <param name="kind">What it decodes.</param>
    /// <param name="target">What answers there; null: nothing, the register only exists.</param>
    /// <param name="prefetchable">Memory that is read without side effects.</param>
    public void DefineBar(int index, uint size, PciBarKind kind, object? target = null, bool prefetchable = false)
    {
        uint type = kind switch
        {
            PciBarKind.Io => 1,
            PciBarKind.Memory64 => 4,
            _ => 0,
        };
        int offset = index == PciBar.ExpansionRom ? ExpansionRomRegister : FirstBar + (4 * index);
        uint enable = index == PciBar.ExpansionRom ? 1u : 0;
        Define(offset, 4, type | (prefetchable ? 8u : 0), ~(size - 1) | enable);
        if (kind == PciBarKind.Memory64) Define(offset + 4, 4, 0, uint.MaxValue);
        _bars.Add(new PciBar(index, size, kind, target));
    }

    /// <summary>The base address registers, in the order of their definition.</summary>
    public IReadOnlyList<PciBar> Bars => _bars;

    /// <summary>Called when what the function decodes may have changed; set by whoever maps it.</summary>
    public Action? DecodingChanged { get; set; }

    /// <summary>INTA; connected by the bus's owner if the function has an interrupt pin.</summary>
    public InterruptLine? Interrupt { get; set; }

    /// <summary>Number of the device on its bus; known once it is there.</summary>
    public int DeviceNumber { get; internal set; }

    /// <summary>The address in a base address register, without its type bits, whether it is decoded or not.</summary>
    public ulong BarAddress(int index)
    {
        if (index == PciBar.ExpansionRom) return Read(ExpansionRomRegister, 4) & ~0x7ffu;
        uint value = Read(FirstBar + (4 * index), 4);
        if ((value & 1) != 0) return value & ~3u;
        ulong high = (value & 6) == 4 ? (ulong)Read(FirstBar + (4 * index) + 4, 4) << 32 : 0;
        return high | (value & ~15u);
    }

    /// <summary>Where a base address register decodes now; null: nowhere.</summary>
    public ulong? Decoded(PciBar bar)
    {
        bool enabled = bar.Kind == PciBarKind.Io ? IoEnabled : MemoryEnabled;
        if (bar.Index == PciBar.ExpansionRom) enabled &= (Read(ExpansionRomRegister, 4) & 1) != 0;
        ulong address = BarAddress(bar.Index);
        ulong end = bar.Kind switch { PciBarKind.Io => 1UL << 16, PciBarKind.Memory => 1UL << 32, _ => ulong.MaxValue };
        // All ones but the size's bits is how software asks for the size.
        bool isAsked = address == end - bar.Size || (bar.Kind == PciBarKind.Memory64 && (uint)address == 0U - bar.Size);
        return enabled && address != 0 && !isAsked && address <= end - bar.Size ? address : null;
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

        TellDecoding(offset, size);
        OnConfigurationWritten(offset, size);
    }

    /// <inheritdoc/>
    public virtual void Reset()
    {
        _initial.CopyTo(_values, 0);
        DecodingChanged?.Invoke();
        OnConfigurationWritten(0, Length);
    }

    /// <inheritdoc/>
    public virtual void DescribeState(IStateVisitor visitor)
    {
        visitor.Bytes("configuration", _values);
        DecodingChanged?.Invoke();
        OnConfigurationWritten(0, Length);
    }

    /// <summary>Sets bits of the status register, as the device does.</summary>
    protected void SetStatus(uint bits) => _values[Status] |= (byte)bits;

    /// <summary>Clears bits of the status register's low byte, as the device does.</summary>
    protected void ClearStatus(uint bits) => _values[Status] &= (byte)~bits;

    private void TellDecoding(int offset, int size)
    {
        bool isCommand = offset < Status && offset + size > Command;
        bool isAddress = offset < CapabilityPointer && offset + size > FirstBar;
        if (isCommand || isAddress) DecodingChanged?.Invoke();
    }

    /// <summary>Called after the guest wrote some configuration space: addresses and enables may have changed.</summary>
    protected virtual void OnConfigurationWritten(int offset, int size)
    {
    }
}
