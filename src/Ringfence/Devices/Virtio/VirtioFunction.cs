using System.Buffers.Binary;

namespace Ringfence.Devices.Virtio;

/// <summary>
/// A virtio device on the PCI bus (Virtual I/O Device 1.2, 4.1), without the legacy interface: memory with four structures that capabilities
/// point to, interrupts by MSI-X or INTA.
/// </summary>
internal sealed class VirtioFunction : PciFunction, IVirtioTransport, IBusDevice
{
    private const ushort Vendor = 0x1af4;
    private const ushort FirstDevice = 0x1040;
    private const ulong Version1 = 1UL << 32;
    private const ulong IndirectDescriptors = 1UL << 28;
    private const ulong EventIndex = 1UL << 29;
    private const byte VendorCapability = 9;
    private const int MemoryBar = 4;
    private const int MsixBar = 1;
    private const uint MemoryBytes = 0x4000;
    private const int PartBytes = 0x1000;
    private const int MsixCapability = 0x40;
    private const int FirstCapability = 0x50;
    private const int WindowCapability = 0xa0;
    private const int NotifyMultiplier = 4;

    private const int CommonPart = 0;
    private const int InterruptPart = 1;
    private const int DevicePart = 2;
    private const int NotifyPart = 3;

    private const byte StatusDriverReady = 4;
    private const byte StatusFeaturesAccepted = 8;
    private const byte QueueInterrupt = 1;
    private const byte ConfigurationInterrupt = 2;

    private readonly VirtioDevice _device;
    private readonly VirtQueue[] _queues;
    private readonly MsixTable _msix;
    private uint _deviceFeatureSelect;
    private uint _driverFeatureSelect;
    private ulong _driverFeatures;
    private ushort _configurationVector = MsixTable.NoVector;
    private ushort _queueSelect;
    private byte _status;
    private byte _interruptStatus;
    private byte _generationByte;

    /// <summary>Makes the function.</summary>
    /// <param name="device">What it does.</param>
    /// <param name="memory">Guest memory.</param>
    /// <param name="send">Sends an interrupt message: address, data.</param>
    public VirtioFunction(VirtioDevice device, IGuestMemory memory, Action<ulong, uint> send)
        : base(device.Name, Vendor, (ushort)(FirstDevice + device.DeviceId), device.ClassCode, revision: 1)
    {
        _device = device;
        _queues = [.. device.QueueSizes.Select(size => new VirtQueue(memory, size))];
        DefineSubsystem(Vendor, (ushort)(FirstDevice + device.DeviceId));
        DefineInterruptPin(1);
        _msix = new MsixTable(this, MsixCapability, MsixBar, _queues.Length + 1, send);
        DefineBar(MsixBar, MsixTable.Length, PciBarKind.Memory, _msix);
        DefineBar(MemoryBar, MemoryBytes, PciBarKind.Memory64, this, prefetchable: true);
        DefineStructure(0, 1, CommonPart, 16);
        DefineStructure(1, 3, InterruptPart, 16);
        DefineStructure(2, 4, DevicePart, 16);
        DefineStructure(3, 2, NotifyPart, 20);
        Define(FirstCapability + (3 * 20) + 16, 4, NotifyMultiplier, 0);

        // The window for drivers that cannot reach memory: bar, offset and length are theirs to write.
        DefineCapability(WindowCapability, VendorCapability);
        Define(WindowCapability + 2, 2, 20 | (5 << 8), 0);
        Define(WindowCapability + 4, 1, 0, 0xff);
        Define(WindowCapability + 8, 4, 0, uint.MaxValue);
        Define(WindowCapability + 12, 4, 0, uint.MaxValue);
        Define(WindowCapability + 16, 4, 0, uint.MaxValue);
        device.Connect(this);
    }

    /// <inheritdoc/>
    public bool IsDriverReady => (_status & StatusDriverReady) != 0;

    /// <inheritdoc/>
    public int Generation { get; private set; }

    /// <summary>What no correct driver does.</summary>
    public ulong MisuseCount { get; private set; }

    private ulong Features => _device.Features | Version1 | IndirectDescriptors | EventIndex;

    /// <inheritdoc/>
    public VirtQueue Queue(int index) => _queues[index];

    /// <inheritdoc/>
    public void Announce(int queue)
    {
        if (_queues[queue].Announce()) Raise(QueueInterrupt, _queues[queue].Vector);
    }

    /// <inheritdoc/>
    public void ConfigurationChanged()
    {
        _generationByte++;
        if (IsDriverReady) Raise(ConfigurationInterrupt, _configurationVector);
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        ResetDevice();
        _msix.Reset();
        base.Reset();
    }

    /// <inheritdoc/>
    public override void DescribeState(IStateVisitor visitor)
    {
        base.DescribeState(visitor);
        visitor.Field("device_feature_select", ref _deviceFeatureSelect);
        visitor.Field("driver_feature_select", ref _driverFeatureSelect);
        visitor.Field("driver_features", ref _driverFeatures);
        visitor.Field("configuration_vector", ref _configurationVector);
        visitor.Field("queue_select", ref _queueSelect);
        visitor.Field("status", ref _status);
        visitor.Field("interrupt_status", ref _interruptStatus);
        visitor.Field("generation", ref _generationByte);
        _msix.DescribeState(visitor);
        for (int i = 0; i < _queues.Length; i++) _queues[i].DescribeState(visitor, $"queue{i}_");
        _device.DescribeState(visitor);
    }

    /// <inheritdoc/>
    public void Read(ulong offset, Span<byte> data)
    {
        data.Clear();
        int at = (int)offset & (PartBytes - 1);
        switch ((int)offset / PartBytes)
        {
            case CommonPart:
                Span<byte> registers = stackalloc byte[0x40];
                FillCommon(registers);
                if (at < registers.Length) registers[at..Math.Min(at + data.Length, registers.Length)].CopyTo(data);
                break;
            case InterruptPart when at == 0:
                data[0] = _interruptStatus;
                _interruptStatus = 0;
                Interrupt?.Set(false);
                break;
            case DevicePart:
                _device.ReadConfiguration(at, data);
                break;
        }
    }

    /// <inheritdoc/>
    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        int at = (int)offset & (PartBytes - 1);
        ulong value = 0;
        for (int i = 0; i < Math.Min(data.Length, 8); i++) value |= (ulong)data[i] << (8 * i);
        switch ((int)offset / PartBytes)
        {
            case CommonPart:
                WriteCommon(at, data.Length, value);
                break;
            case NotifyPart when at / NotifyMultiplier < _queues.Length:
                if (IsDriverReady) _device.Notify(at / NotifyMultiplier);
                else MisuseCount++;
                break;
            default:
                MisuseCount++;
                break;
        }
    }

    /// <inheritdoc/>
    public override uint Read(int offset, int size)
    {
        if (offset == WindowCapability + 16 && TryGetWindow(out ulong at, out int length))
        {
            Span<byte> data = stackalloc byte[4];
            data.Clear();
            Read(at, data[..length]);
            return BinaryPrimitives.ReadUInt32LittleEndian(data);
        }

        return base.Read(offset, size);
    }

    /// <inheritdoc/>
    protected override void OnConfigurationWritten(int offset, int size)
    {
        if (offset == WindowCapability + 16 && TryGetWindow(out ulong at, out int length))
        {
            Span<byte> data = stackalloc byte[4];
            BinaryPrimitives.WriteUInt32LittleEndian(data, base.Read(WindowCapability + 16, 4));
            Write(at, data[..length]);
        }

        // Behind the constructor's first writes.
        if (_msix is null) return;
        if (offset <= MsixCapability + 3 && offset + size > MsixCapability + 2)
        {
            _msix.SendPending();
            if (_msix.IsEnabled) Interrupt?.Set(false);
        }
    }

    private bool TryGetWindow(out ulong offset, out int length)
    {
        offset = base.Read(WindowCapability + 8, 4);
        length = (int)base.Read(WindowCapability + 12, 4);
        return base.Read(WindowCapability + 4, 1) == MemoryBar && length is 1 or 2 or 4 && offset <= MemoryBytes - (uint)length;
    }

    private void DefineStructure(int index, byte type, int part, byte length)
    {
        int at = FirstCapability + (index * 20);
        DefineCapability(at, VendorCapability);
        Define(at + 2, 2, length | ((uint)type << 8), 0);
        Define(at + 4, 1, MemoryBar, 0);
        Define(at + 8, 4, (uint)(part * PartBytes), 0);
        Define(at + 12, 4, PartBytes, 0);
    }

    private void Raise(byte cause, ushort vector)
    {
        if (_msix.IsEnabled)
        {
            _msix.Signal(vector);
            return;
        }

        _interruptStatus |= cause;
        Interrupt?.Set(true);
    }

    private VirtQueue? Selected => _queueSelect < _queues.Length ? _queues[_queueSelect] : null;

    private void FillCommon(Span<byte> r)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(r, _deviceFeatureSelect);
        BinaryPrimitives.WriteUInt32LittleEndian(r[4..], _deviceFeatureSelect < 2 ? (uint)(Features >> (32 * (int)_deviceFeatureSelect)) : 0);
        BinaryPrimitives.WriteUInt32LittleEndian(r[8..], _driverFeatureSelect);
        BinaryPrimitives.WriteUInt32LittleEndian(r[0xc..], _driverFeatureSelect < 2 ? (uint)(_driverFeatures >> (32 * (int)_driverFeatureSelect)) : 0);
        BinaryPrimitives.WriteUInt16LittleEndian(r[0x10..], _configurationVector);
        BinaryPrimitives.WriteUInt16LittleEndian(r[0x12..], (ushort)_queues.Length);
        r[0x14] = _status;
        r[0x15] = _generationByte;
        BinaryPrimitives.WriteUInt16LittleEndian(r[0x16..], _queueSelect);
        if (Selected is not { } queue) return;
        BinaryPrimitives.WriteUInt16LittleEndian(r[0x18..], queue.Size);
        BinaryPrimitives.WriteUInt16LittleEndian(r[0x1a..], queue.Vector);
        BinaryPrimitives.WriteUInt16LittleEndian(r[0x1c..], queue.IsEnabled ? (ushort)1 : (ushort)0);
        BinaryPrimitives.WriteUInt16LittleEndian(r[0x1e..], _queueSelect);
        BinaryPrimitives.WriteUInt64LittleEndian(r[0x20..], queue.Descriptors);
        BinaryPrimitives.WriteUInt64LittleEndian(r[0x28..], queue.Available);
        BinaryPrimitives.WriteUInt64LittleEndian(r[0x30..], queue.Used);
    }

    private void WriteCommon(int at, int size, ulong value)
    {
        switch (at, size)
        {
            case (0x00, 4):
                _deviceFeatureSelect = (uint)value;
                break;
            case (0x08, 4):
                _driverFeatureSelect = (uint)value;
                break;
            case (0x0c, 4) when _driverFeatureSelect < 2 && (_status & StatusFeaturesAccepted) == 0:
                int shift = 32 * (int)_driverFeatureSelect;
                _driverFeatures = (_driverFeatures & ~(0xffff_ffffUL << shift)) | (value << shift);
                break;
            case (0x10, 2):
                _configurationVector = value < (ulong)_queues.Length + 1 ? (ushort)value : MsixTable.NoVector;
                break;
            case (0x14, 1):
                WriteStatus((byte)value);
                break;
            case (0x16, 2):
                _queueSelect = (ushort)value;
                break;
            case ( >= 0x18 and < 0x38, _) when Selected is { } queue:
                WriteQueue(queue, at, size, value);
                break;
            default:
                MisuseCount++;
                break;
        }
    }

    private void WriteQueue(VirtQueue queue, int at, int size, ulong value)
    {
        switch (at, size)
        {
            case (0x18, 2):
                queue.Size = (ushort)value;
                break;
            case (0x1a, 2):
                queue.Vector = value < (ulong)_queues.Length + 1 ? (ushort)value : MsixTable.NoVector;
                break;
            case (0x1c, 2) when value == 1:
                queue.UsesEventIndex = (_driverFeatures & EventIndex) != 0;
                queue.Enable();
                break;
            case (0x20 or 0x24 or 0x28 or 0x2c or 0x30 or 0x34, 4 or 8) when !queue.IsEnabled:
                ref ulong address = ref at < 0x28 ? ref queue.Descriptors : ref at < 0x30 ? ref queue.Available : ref queue.Used;
                if (size == 8) address = value;
                else if ((at & 4) == 0) address = (address & ~0xffff_ffffUL) | value;
                else address = (address & 0xffff_ffffUL) | (value << 32);
                break;
            default:
                MisuseCount++;
                break;
        }
    }

    private void WriteStatus(byte value)
    {
        if (value == 0)
        {
            ResetDevice();
            return;
        }

        // Features that were not offered, or a driver of the old interface, are refused.
        bool acceptable = (_driverFeatures & ~Features) == 0 && (_driverFeatures & Version1) != 0;
        if ((value & StatusFeaturesAccepted) != 0 && (_status & StatusFeaturesAccepted) == 0 && !acceptable) value &= unchecked((byte)~StatusFeaturesAccepted);
        _status = value;
    }

    private void ResetDevice()
    {
        Generation++;
        _status = 0;
        _interruptStatus = 0;
        _driverFeatures = 0;
        _deviceFeatureSelect = _driverFeatureSelect = 0;
        _configurationVector = MsixTable.NoVector;
        _queueSelect = 0;
        foreach (VirtQueue queue in _queues) queue.Reset();
        _device.Reset();
        Interrupt?.Set(false);
    }
}
