namespace Ringfence.Devices;

/// <summary>
/// The PC/AT's two 8237A DMA controllers and their page registers (Intel 8237A data sheet; 82371SB data sheet, 2.6.1): channels 0 to 3 move
/// bytes within 64 KiB, 5 to 7 words within 128 KiB, 4 joins the two. Devices ask for their transfers when they have or want data; there are no
/// transfers between memory and memory.
/// </summary>
internal sealed class DmaController8237 : IStateful, IResettable
{
    /// <summary>First port of the controller of channels 0 to 3.</summary>
    public const ushort FirstPort = 0x00;

    /// <summary>Ports of the controller of channels 0 to 3.</summary>
    public const int FirstPortLength = 16;

    /// <summary>First port of the controller of channels 4 to 7, whose registers are two ports apart.</summary>
    public const ushort SecondPort = 0xc0;

    /// <summary>Ports of the controller of channels 4 to 7.</summary>
    public const int SecondPortLength = 32;

    /// <summary>First port of the page registers. The register below, which no channel uses, is the port of <see cref="PostCode"/>.</summary>
    public const ushort PagePort = 0x81;

    /// <summary>Number of page registers.</summary>
    public const int PagePortLength = 15;

    private const int Controllers = 2;
    private const int ChannelsOfOne = 4;
    private const byte Disabled = 0x04;
    private const byte TypeMask = 0x0c;
    private const byte TypeToMemory = 0x04;
    private const byte TypeFromMemory = 0x08;
    private const byte AutoInitialize = 0x10;
    private const byte Decrement = 0x20;

    // Offset from 80h of each channel's page register.
    private static readonly byte[] PageOf = [7, 3, 1, 2, 15, 11, 9, 10];

    private readonly IGuestMemory _memory;
    private readonly byte[] _pages = new byte[16];
    private readonly Channel[] _channels = [.. Enumerable.Range(0, Controllers * ChannelsOfOne).Select(_ => new Channel())];
    private readonly Unit[] _units = [new Unit(), new Unit()];

    /// <summary>Makes the pair.</summary>
    /// <param name="memory">Guest memory.</param>
    public DmaController8237(IGuestMemory memory)
    {
        _memory = memory;
        First = new BytePorts(register => Read(0, register), (register, value) => Write(0, register, value));
        Second = new BytePorts(offset => Read(1, offset >> 1), (offset, value) => Write(1, offset >> 1, value));
        Pages = new BytePorts(offset => _pages[offset + 1], (offset, value) => _pages[offset + 1] = value);
        Reset();
    }

    /// <summary>The controller of channels 0 to 3.</summary>
    public IBusDevice First { get; }

    /// <summary>The controller of channels 4 to 7.</summary>
    public IBusDevice Second { get; }

    /// <summary>The page registers.</summary>
    public IBusDevice Pages { get; }

    /// <inheritdoc/>
    public string StateName => "dma";

    /// <inheritdoc/>
    public int StateVersion => 1;

    /// <summary>
    /// Moves data between a device and memory until there is no more or the channel's count has passed zero (terminal count). A channel that is
    /// masked moves nothing; one that is set to the other direction, or to verify, counts and moves nothing.
    /// </summary>
    /// <param name="number">The channel: 0 to 3, or 5 to 7 with words.</param>
    /// <param name="data">The device's data, or room for what it is to get.</param>
    /// <param name="toMemory">The device sends.</param>
    /// <param name="terminalCount">The count has passed zero.</param>
    /// <returns>Bytes.</returns>
    public int Transfer(int number, Span<byte> data, bool toMemory, out bool terminalCount)
    {
        terminalCount = false;
        Channel channel = _channels[number];
        Unit unit = _units[number / ChannelsOfOne];
        int bit = 1 << (number % ChannelsOfOne);
        if ((unit.Mask & bit) != 0 || (unit.Command & Disabled) != 0) return 0;
        int unitBytes = number < ChannelsOfOne ? 1 : 2;
        bool moves = (channel.Mode & TypeMask) == (toMemory ? TypeToMemory : TypeFromMemory);
        int moved = 0;
        while (moved + unitBytes <= data.Length && !terminalCount)
        {
            // As far as the address counts up without wrapping; down, one at a time.
            int run = Math.Min((data.Length - moved) / unitBytes, channel.CurrentCount + 1);
            run = (channel.Mode & Decrement) != 0 ? 1 : Math.Min(run, 0x1_0000 - channel.CurrentAddress);
            if (moves) Move(Address(number), data.Slice(moved, run * unitBytes), toMemory);
            moved += run * unitBytes;
            channel.CurrentAddress += (ushort)((channel.Mode & Decrement) != 0 ? -run : run);
            terminalCount = channel.CurrentCount == run - 1;
            channel.CurrentCount -= (ushort)run;
        }

        if (terminalCount) EndProcess(channel, unit, bit);
        return moved;
    }

    /// <inheritdoc/>
    public void Reset()
    {
        foreach (Unit unit in _units) unit.Clear();
        foreach (Channel channel in _channels) channel.Mode = 0;
        _pages.AsSpan().Clear();
    }

    /// <inheritdoc/>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Bytes("pages", _pages);
        for (int i = 0; i < _units.Length; i++) _units[i].DescribeState(visitor, $"unit{i}");
        for (int i = 0; i < _channels.Length; i++) _channels[i].DescribeState(visitor, $"channel{i}");
    }

    private static void EndProcess(Channel channel, Unit unit, int bit)
    {
        unit.Status |= (byte)bit;
        if ((channel.Mode & AutoInitialize) == 0)
        {
            unit.Mask |= (byte)bit;
            return;
        }

        channel.CurrentAddress = channel.BaseAddress;
        channel.CurrentCount = channel.BaseCount;
    }

    private void Move(uint address, Span<byte> data, bool toMemory)
    {
        if (toMemory) _memory.Write(address, data);
        else _memory.Read(address, data);
    }

    private uint Address(int number)
    {
        uint page = _pages[PageOf[number]];
        uint offset = _channels[number].CurrentAddress;
        return number < ChannelsOfOne ? (page << 16) | offset : ((page & ~1u) << 16) | (offset << 1);
    }

    private byte Read(int index, int register)
    {
        Unit unit = _units[index];
        if (register < 8)
        {
            Channel channel = _channels[(index * ChannelsOfOne) + (register >> 1)];
            ushort value = (register & 1) == 0 ? channel.CurrentAddress : channel.CurrentCount;
            unit.IsHigh = !unit.IsHigh;
            return (byte)(unit.IsHigh ? value : value >> 8);
        }

        switch (register)
        {
            case 8:
                byte status = unit.Status;
                unit.Status = 0;
                return status;
            case 15:
                return (byte)(unit.Mask | 0xf0);
            default:
                return 0;
        }
    }

    private void Write(int index, int register, byte value)
    {
        Unit unit = _units[index];
        if (register < 8)
        {
            Channel channel = _channels[(index * ChannelsOfOne) + (register >> 1)];
            int shift = unit.IsHigh ? 8 : 0;
            unit.IsHigh = !unit.IsHigh;
            if ((register & 1) == 0) channel.BaseAddress = channel.CurrentAddress = Insert(channel.BaseAddress, shift, value);
            else channel.BaseCount = channel.CurrentCount = Insert(channel.BaseCount, shift, value);
            return;
        }

        switch (register)
        {
            case 8:
                unit.Command = value;
                break;
            case 10:
                int bit = 1 << (value & 3);
                unit.Mask = (byte)((value & 4) != 0 ? unit.Mask | bit : unit.Mask & ~bit);
                break;
            case 11:
                _channels[(index * ChannelsOfOne) + (value & 3)].Mode = value;
                break;
            case 12:
                unit.IsHigh = false;
                break;
            case 13:
                unit.Clear();
                break;
            case 14:
                unit.Mask = 0;
                break;
            case 15:
                unit.Mask = (byte)(value & 15);
                break;
        }
    }

    private static ushort Insert(ushort old, int shift, byte value) => (ushort)((old & ~(0xff << shift)) | (value << shift));

    /// <summary>The registers of one channel.</summary>
    private sealed class Channel
    {
        private ushort _baseAddress;
        private ushort _baseCount;
        private ushort _currentAddress;
        private ushort _currentCount;
        private byte _mode;

        public ushort BaseAddress { get => _baseAddress; set => _baseAddress = value; }

        public ushort BaseCount { get => _baseCount; set => _baseCount = value; }

        public ushort CurrentAddress { get => _currentAddress; set => _currentAddress = value; }

        public ushort CurrentCount { get => _currentCount; set => _currentCount = value; }

        public byte Mode { get => _mode; set => _mode = value; }

        public void DescribeState(IStateVisitor visitor, string name)
        {
            visitor.Field($"{name}_base_address", ref _baseAddress);
            visitor.Field($"{name}_base_count", ref _baseCount);
            visitor.Field($"{name}_current_address", ref _currentAddress);
            visitor.Field($"{name}_current_count", ref _currentCount);
            visitor.Field($"{name}_mode", ref _mode);
        }
    }

    /// <summary>The registers of one controller.</summary>
    private sealed class Unit
    {
        private byte _command;
        private byte _status;
        private byte _mask;
        private bool _isHigh;

        public byte Command { get => _command; set => _command = value; }

        public byte Status { get => _status; set => _status = value; }

        public byte Mask { get => _mask; set => _mask = value; }

        /// <summary>The flip-flop: the next access is to the high byte.</summary>
        public bool IsHigh { get => _isHigh; set => _isHigh = value; }

        public void Clear()
        {
            _command = _status = 0;
            _mask = 0x0f;
            _isHigh = false;
        }

        public void DescribeState(IStateVisitor visitor, string name)
        {
            visitor.Field($"{name}_command", ref _command);
            visitor.Field($"{name}_status", ref _status);
            visitor.Field($"{name}_mask", ref _mask);
            visitor.Field($"{name}_high", ref _isHigh);
        }
    }
}
