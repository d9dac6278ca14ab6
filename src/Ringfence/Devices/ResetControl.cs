namespace Ringfence.Devices;

/// <summary>
/// Reset control register (port CF9h, inside the host bridge's ports) and system control port A (port 92h: fast A20 and fast reset).
/// The device itself is port 92h; the host bridge passes accesses to CF9h on.
/// </summary>
internal sealed class ResetControl : ByteDevice, IStateful, IResettable
{
    /// <summary>The reset register of the FADT.</summary>
    public const ushort Port = 0xcf9;

    /// <summary>The value that resets the machine when written to <see cref="Port"/>.</summary>
    public const byte ResetValue = 0x06;

    /// <summary>System control port A.</summary>
    public const ushort SystemControlPortA = 0x92;

    private const byte FastReset = 1;
    private const byte FastA20 = 2;
    private const byte ResetProcessor = 4;

    private readonly A20Gate _a20;
    private readonly Action _reset;
    private byte _register;
    private byte _portA;

    /// <summary>Makes the two registers.</summary>
    /// <param name="a20">The A20 gate.</param>
    /// <param name="reset">Called when the guest resets the machine.</param>
    public ResetControl(A20Gate a20, Action reset)
    {
        _a20 = a20;
        _reset = reset;
    }

    /// <inheritdoc/>
    public string StateName => "reset-control";

    /// <inheritdoc/>
    public int StateVersion => 1;

    /// <summary>Reads port CF9h.</summary>
    public byte ReadResetRegister() => _register;

    /// <summary>Writes port CF9h: the reset happens when bit 2 goes from 0 to 1.</summary>
    public void WriteResetRegister(byte value)
    {
        bool rises = (value & ~_register & ResetProcessor) != 0;
        _register = (byte)(value & 0x0e);
        if (rises) _reset();
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _register = 0;
        _portA = 0;
        _a20.Reset();
    }

    /// <inheritdoc/>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Field("register", ref _register);
        visitor.Field("port_a", ref _portA);
        _a20.DescribeState(visitor);
    }

    /// <inheritdoc/>
    protected override byte ReadByte(int offset) => (byte)(_portA | (_a20.Enabled ? FastA20 : 0));

    /// <inheritdoc/>
    protected override void WriteByte(int offset, byte value)
    {
        bool rises = (value & ~_portA & FastReset) != 0;
        _portA = (byte)(value & ~FastA20);
        _a20.Enabled = (value & FastA20) != 0;
        if (rises) _reset();
    }
}
