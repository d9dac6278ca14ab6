namespace Ringfence.Devices;

/// <summary>
/// The PC's two 8259As, the slave on input 2 of the master, and their edge/level control registers.
/// </summary>
internal sealed class DualPic : IStateful, IResettable
{
    /// <summary>First of the master's two ports.</summary>
    public const ushort MasterPort = 0x20;

    /// <summary>First of the slave's two ports.</summary>
    public const ushort SlavePort = 0xa0;

    /// <summary>First of the two ports of the edge/level control registers.</summary>
    public const ushort EdgeLevelPort = 0x4d0;

    /// <summary>Number of ports of each of the three ranges.</summary>
    public const int PortLength = 2;

    private const int Cascade = 2;
    private const byte MasterLevelCapable = 0xf8;
    private const byte SlaveLevelCapable = 0xde;

    private readonly InterruptController8259 _master;
    private readonly InterruptController8259 _slave;
    private readonly WiredOr[] _inputs = new WiredOr[16];

    /// <summary>Makes the pair.</summary>
    /// <param name="output">INTR: to the processor or to the local APIC's LINT0.</param>
    public DualPic(InterruptLine output)
    {
        _master = new InterruptController8259(MasterLevelCapable, 1 << Cascade, output);
        InterruptController8259 master = _master;
        _slave = new InterruptController8259(SlaveLevelCapable, 0, new InterruptLine(level => master.SetInput(Cascade, level)));
        for (int i = 0; i < 16; i++)
        {
            InterruptController8259 chip = i < 8 ? _master : _slave;
            int number = i & 7;
            _inputs[i] = new WiredOr(level => chip.SetInput(number, level));
        }

        EdgeLevelControl = new BytePorts(
            offset => offset == 0 ? _master.EdgeLevel : _slave.EdgeLevel,
            (offset, value) => (offset == 0 ? _master : _slave).EdgeLevel = value);
        Reset();
    }

    /// <summary>Ports 20h and 21h.</summary>
    public IBusDevice Master => _master;

    /// <summary>Ports A0h and A1h.</summary>
    public IBusDevice Slave => _slave;

    /// <summary>Ports 4D0h and 4D1h.</summary>
    public IBusDevice EdgeLevelControl { get; }

    /// <summary>INTR.</summary>
    public InterruptLine Output => _master.Output;

    /// <summary>Interrupts acknowledged when none was requested (any more).</summary>
    public ulong SpuriousCount => _master.SpuriousCount + _slave.SpuriousCount;

    /// <inheritdoc/>
    public string StateName => "pic";

    /// <inheritdoc/>
    public int StateVersion => 1;

    /// <summary>Makes a line that drives an input; several lines on one input are ORed.</summary>
    /// <param name="irq">0 to 15, but not 2, where the slave is.</param>
    public InterruptLine Input(int irq)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(irq);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(irq, 15);
        ArgumentOutOfRangeException.ThrowIfEqual(irq, Cascade);
        return _inputs[irq].AddLine();
    }

    /// <summary>Answers the processor's INTA: the vector of the interrupt taken into service, or a spurious one.</summary>
    public int Acknowledge()
    {
        if (_master.Acknowledge(out int vector) == Cascade) _slave.Acknowledge(out vector);
        return vector;
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _slave.Reset();
        _master.Reset();
    }

    /// <inheritdoc/>
    public void DescribeState(IStateVisitor visitor)
    {
        _slave.DescribeState(visitor, "slave_");
        _master.DescribeState(visitor, "master_");
    }
}
