namespace Ringfence.Devices;

/// <summary>The port of power-on self-test codes, 80h, which guests also write to wait a microsecond. Reads give the last code.</summary>
internal sealed class PostCode : ByteDevice, IStateful
{
    /// <summary>The port.</summary>
    public const ushort Port = 0x80;

    private byte _code;

    /// <summary>The last code written.</summary>
    public byte Code => _code;

    /// <inheritdoc/>
    public string StateName => "post-code";

    /// <inheritdoc/>
    public int StateVersion => 1;

    /// <inheritdoc/>
    public void DescribeState(IStateVisitor visitor) => visitor.Field("code", ref _code);

    /// <inheritdoc/>
    protected override byte ReadByte(int offset) => _code;

    /// <inheritdoc/>
    protected override void WriteByte(int offset, byte value) => _code = value;
}
