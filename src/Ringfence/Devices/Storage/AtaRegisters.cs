namespace Ringfence.Devices.Storage;

/// <summary>
/// The command block of an ATA device (ATA/ATAPI-6, chapter 7). Registers that 48-bit commands use twice hold what was written last in
/// their low byte and what was written before in their high byte.
/// </summary>
internal sealed class AtaRegisters
{
    /// <summary>DEV: device 1 is selected.</summary>
    public const byte SecondDevice = 0x10;

    /// <summary>LBA: the address is a block's number, not cylinder, head and sector.</summary>
    public const byte LbaMode = 0x40;

    private ushort _features;
    private ushort _sectorCount;
    private ushort _lbaLow;
    private ushort _lbaMid;
    private ushort _lbaHigh;
    private byte _device;
    private byte _status;
    private byte _error;

    /// <summary>Features.</summary>
    public ushort Features { get => _features; set => _features = value; }

    /// <summary>Sector count; of packet commands the interrupt reason.</summary>
    public ushort SectorCount { get => _sectorCount; set => _sectorCount = value; }

    /// <summary>LBA bits 7:0 and 31:24, or the sector.</summary>
    public ushort LbaLow { get => _lbaLow; set => _lbaLow = value; }

    /// <summary>LBA bits 15:8 and 39:32, or the cylinder's low byte; of packet commands the byte count's low byte.</summary>
    public ushort LbaMid { get => _lbaMid; set => _lbaMid = value; }

    /// <summary>LBA bits 23:16 and 47:40, or the cylinder's high byte; of packet commands the byte count's high byte.</summary>
    public ushort LbaHigh { get => _lbaHigh; set => _lbaHigh = value; }

    /// <summary>Device and head.</summary>
    public byte Device { get => _device; set => _device = value; }

    /// <summary>Bits of <see cref="AtaStatus"/>.</summary>
    public byte Status { get => _status; set => _status = value; }

    /// <summary>Bits of <see cref="AtaError"/>.</summary>
    public byte Error { get => _error; set => _error = value; }

    /// <summary>The address of a 48-bit command.</summary>
    public long Lba48
    {
        get => Join(_lbaLow, _lbaMid, _lbaHigh) | (Join(_lbaLow >> 8, _lbaMid >> 8, _lbaHigh >> 8) << 24);
        set
        {
            _lbaLow = (ushort)((byte)value | ((int)(value >> 24) & 0xff) << 8);
            _lbaMid = (ushort)((byte)(value >> 8) | ((int)(value >> 32) & 0xff) << 8);
            _lbaHigh = (ushort)((byte)(value >> 16) | ((int)(value >> 40) & 0xff) << 8);
        }
    }

    /// <summary>The address of a 28-bit command.</summary>
    public long Lba28
    {
        get => Join(_lbaLow, _lbaMid, _lbaHigh) | ((_device & 15L) << 24);
        set
        {
            _lbaLow = (byte)value;
            _lbaMid = (byte)(value >> 8);
            _lbaHigh = (byte)(value >> 16);
            _device = (byte)((_device & 0xf0) | ((int)(value >> 24) & 15));
        }
    }

    /// <summary>The byte count of packet commands.</summary>
    public ushort ByteCount
    {
        get => (ushort)((byte)_lbaMid | (_lbaHigh << 8));
        set
        {
            _lbaMid = (byte)value;
            _lbaHigh = (byte)(value >> 8);
        }
    }

    /// <summary>Reads register 1 to 7 as the host does.</summary>
    /// <param name="register">Its offset from the data register.</param>
    /// <param name="high">HOB: what was written before.</param>
    public byte Read(int register, bool high)
    {
        int shift = high ? 8 : 0;
        return register switch
        {
            1 => _error,
            2 => (byte)(_sectorCount >> shift),
            3 => (byte)(_lbaLow >> shift),
            4 => (byte)(_lbaMid >> shift),
            5 => (byte)(_lbaHigh >> shift),
            6 => (byte)(_device | 0xa0),
            _ => _status,
        };
    }

    /// <summary>Writes register 1 to 6 as the host does.</summary>
    public void Write(int register, byte value)
    {
        switch (register)
        {
            case 1:
                Push(ref _features, value);
                break;
            case 2:
                Push(ref _sectorCount, value);
                break;
            case 3:
                Push(ref _lbaLow, value);
                break;
            case 4:
                Push(ref _lbaMid, value);
                break;
            case 5:
                Push(ref _lbaHigh, value);
                break;
            case 6:
                _device = value;
                break;
        }
    }

    /// <summary>Visits the registers.</summary>
    public void DescribeState(IStateVisitor visitor, string name)
    {
        visitor.Field($"{name}_features", ref _features);
        visitor.Field($"{name}_sector_count", ref _sectorCount);
        visitor.Field($"{name}_lba_low", ref _lbaLow);
        visitor.Field($"{name}_lba_mid", ref _lbaMid);
        visitor.Field($"{name}_lba_high", ref _lbaHigh);
        visitor.Field($"{name}_device", ref _device);
        visitor.Field($"{name}_status", ref _status);
        visitor.Field($"{name}_error", ref _error);
    }

    private static void Push(ref ushort register, byte value) => register = (ushort)((register << 8) | value);

    private static long Join(int low, int mid, int high) => (byte)low | ((long)(byte)mid << 8) | ((long)(byte)high << 16);
}
