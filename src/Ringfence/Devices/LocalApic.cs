using System.Buffers.Binary;

namespace Ringfence.Devices;

/// <summary>
/// A processor's local APIC (Intel SDM 3A chapter 10). As a bus device it is the 4 KiB page of xAPIC registers; in x2APIC mode its
/// registers are MSRs (LocalApicMsrs.cs). Used under the machine lock.
/// </summary>
internal sealed partial class LocalApic : IBusDevice, IStateful, IResettable
{
    /// <summary>Where the registers are after RESET.</summary>
    public const ulong DefaultAddress = 0xfee0_0000;

    /// <summary>Bytes of the registers.</summary>
    public const ulong Length = 0x1000;

    private const uint Version = 0x14 | ((VectorTable.Count - 1) << 16);
    private const uint SoftwareEnable = 1 << 8;
    private const uint Masked = 1 << 16;
    private const uint RemoteIrr = 1 << 14;
    private const uint LevelTriggered = 1 << 15;
    private const uint SendIllegalVector = 1 << 5;
    private const uint ReceiveIllegalVector = 1 << 6;
    private const uint IllegalRegister = 1 << 7;

    private readonly ApicBus _bus;
    private readonly ApicTimer _timer;
    private readonly uint[] _vectorTable = new uint[VectorTable.Count];
    private VectorSet _requests;
    private VectorSet _inService;
    private VectorSet _triggerModes;
    private ulong _base;
    private uint _taskPriority;
    private uint _logicalDestination;
    private uint _destinationFormat;
    private uint _spurious;
    private uint _errors;
    private uint _visibleErrors;
    private ulong _command;
    private bool _externalMessage;
    private bool _pending;

    /// <summary>Makes a local APIC and adds it to the bus.</summary>
    /// <param name="id">Its APIC ID; 0 is the bootstrap processor's.</param>
    /// <param name="clock">Guest time.</param>
    /// <param name="bus">Where its messages go.</param>
    /// <param name="timestamp">The processor's time-stamp counter as RDTSC would give it.</param>
    /// <param name="timestampFrequency">Its rate in Hz.</param>
    public LocalApic(int id, IMachineClock clock, ApicBus bus, Func<ulong> timestamp, ulong timestampFrequency)
    {
        Id = id;
        _bus = bus;
        _timer = new ApicTimer(clock, timestamp, timestampFrequency, () => Raise(VectorTable.Timer));
        Lint0 = new InterruptLine(level => LocalInput(VectorTable.Lint0, level));
        Lint1 = new InterruptLine(level => LocalInput(VectorTable.Lint1, level));
        bus.Add(this);
        Reset();
    }

    /// <summary>Called when <see cref="InterruptPending"/> changes.</summary>
    public event Action<bool>? InterruptPendingChanged;

    /// <summary>Called for an NMI.</summary>
    public event Action? NmiReceived;

    /// <summary>Called for INIT, after the APIC itself was initialized.</summary>
    public event Action? InitReceived;

    /// <summary>Called for a start-up message with its vector: execution begins at vector &lt;&lt; 12.</summary>
    public event Action<byte>? StartUpReceived;

    /// <summary>Called with the new state of the global enable and the page the registers are at, when IA32_APIC_BASE changes.</summary>
    public event Action? BaseChanged;

    /// <summary>Takes the vector from the 8259s when an ExtINT interrupt is acknowledged.</summary>
    public Func<int>? AcknowledgeExternal { get; set; }

    /// <summary>The APIC ID.</summary>
    public int Id { get; }

    /// <summary>The LINT0 pin: INTR of the 8259s.</summary>
    public InterruptLine Lint0 { get; }

    /// <summary>The LINT1 pin: NMI.</summary>
    public InterruptLine Lint1 { get; }

    /// <summary>Has the processor an external interrupt to take (if RFLAGS.IF is 1)?</summary>
    public bool InterruptPending => _pending;

    /// <summary>Physical address of the register page.</summary>
    public ulong BaseAddress => _base & ApicBase.AddressMask;

    /// <summary>Is the APIC enabled in IA32_APIC_BASE?</summary>
    public bool IsEnabled => (_base & ApicBase.Enable) != 0;

    /// <summary>Is the APIC in x2APIC mode?</summary>
    public bool IsX2Apic => (_base & ApicBase.Extended) != 0;

    /// <summary>Is the APIC enabled there and in the spurious-interrupt vector register?</summary>
    public bool IsSoftwareEnabled => IsEnabled && (_spurious & SoftwareEnable) != 0;

    /// <summary>CR8: bits 4 to 7 of the task priority.</summary>
    public ulong TaskPriorityClass
    {
        get => _taskPriority >> 4;
        set
        {
            _taskPriority = (uint)(value & 15) << 4;
            Update();
        }
    }

    /// <summary>PPR (Intel SDM 3A 10.8.3.1).</summary>
    public uint ProcessorPriority
    {
        get
        {
            int highest = Math.Max(_inService.Highest(), 0);
            return _taskPriority >> 4 >= (uint)highest >> 4 ? _taskPriority : (uint)highest & 0xf0;
        }
    }

    /// <summary>Accesses that no correct system makes.</summary>
    public ulong MisuseCount { get; private set; }

    /// <summary>Interrupts acknowledged when none was deliverable any more.</summary>
    public ulong SpuriousCount { get; private set; }

    /// <inheritdoc/>
    public string StateName => $"lapic{Id}";

    /// <inheritdoc/>
    public int StateVersion => 1;

    private bool ExternalPending =>
        Lint0.Level && (!IsEnabled || (_vectorTable[VectorTable.Lint0] & (Masked | 0x700)) == 0x700) || _externalMessage;

    /// <summary>RESET: xAPIC mode, enabled in IA32_APIC_BASE, disabled in software.</summary>
    public void Reset()
    {
        _base = DefaultAddress | ApicBase.Enable | (Id == 0 ? ApicBase.Bootstrap : 0);
        ResetRegisters();
        BaseChanged?.Invoke();
    }

    /// <summary>
    /// Virtual wire mode (Intel MultiProcessor Specification 3.6.2.2), in which firmware leaves the bootstrap processor: enabled in
    /// software, LINT0 ExtINT, LINT1 NMI.
    /// </summary>
    public void EnterVirtualWireMode()
    {
        _spurious = SoftwareEnable | 0x0f;
        _vectorTable[VectorTable.Lint0] = 0x700;
        _vectorTable[VectorTable.Lint1] = 0x400;
        Update();
    }

    /// <summary>The processor's time-stamp counter was written.</summary>
    public void TimestampChanged() => _timer.TimestampChanged();

    /// <summary>
    /// The processor's interrupt acknowledge: takes the deliverable interrupt of highest priority into service.
    /// An 8259's comes before the APIC's own.
    /// </summary>
    /// <returns>Its vector, or -1 if there is none (any more).</returns>
    public int AcknowledgeInterrupt()
    {
        if (ExternalPending && AcknowledgeExternal is { } acknowledge)
        {
            _externalMessage = false;
            int external = acknowledge();
            Update();
            return external;
        }

        int vector = Deliverable();
        if (vector < 0)
        {
            SpuriousCount++;
            return -1;
        }

        _requests.Remove(vector);
        _inService.Add(vector);
        Update();
        return vector;
    }

    /// <summary>Is this APIC a destination?</summary>
    public bool Matches(uint destination, bool logical)
    {
        if (!IsEnabled) return false;
        if (destination == ApicMessage.Broadcast && (!logical || IsX2Apic)) return true;
        if (!logical) return destination == (uint)Id;
        if (IsX2Apic) return destination >> 16 == _logicalDestination >> 16 && (destination & _logicalDestination & 0xffff) != 0;
        if (destination != ApicMessage.Broadcast && destination > 0xff) return false;
        uint mine = _logicalDestination >> 24;
        byte wanted = (byte)destination;
        if (_destinationFormat >> 28 == 0xf) return (mine & wanted) != 0;
        return (wanted >> 4 == 0xf || wanted >> 4 == mine >> 4) && (mine & wanted & 15) != 0;
    }

    /// <summary>Takes a message.</summary>
    /// <returns>False if it is not accepted.</returns>
    public bool Accept(in ApicMessage message)
    {
        switch (message.Mode)
        {
            case ApicDeliveryMode.Fixed or ApicDeliveryMode.LowestPriority:
                return AcceptVector(message.Vector, message.Level);
            case ApicDeliveryMode.Nmi:
                NmiReceived?.Invoke();
                return true;
            case ApicDeliveryMode.Init:
                ResetRegisters();
                InitReceived?.Invoke();
                return true;
            case ApicDeliveryMode.StartUp:
                StartUpReceived?.Invoke(message.Vector);
                return true;
            case ApicDeliveryMode.ExtInt:
                _externalMessage = true;
                Update();
                return true;
            default:
                // There is no system management mode here.
                MisuseCount++;
                return false;
        }
    }

    /// <inheritdoc/>
    public void Read(ulong offset, Span<byte> data)
    {
        if (!IsEnabled || IsX2Apic)
        {
            data.Fill(0xff);
            return;
        }

        // Registers are 32 bits at multiples of 16 bytes.
        uint value = (offset & 0xc) == 0 ? ReadRegister((int)(offset >> 4) & 0xff) : 0;
        for (int i = 0; i < data.Length; i++)
        {
            int at = (int)(offset & 3) + i;
            data[i] = at < 4 ? (byte)(value >> (8 * at)) : (byte)0;
        }
    }

    /// <inheritdoc/>
    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (!IsEnabled || IsX2Apic) return;
        if ((offset & 15) != 0 || data.Length < 4)
        {
            MisuseCount++;
            return;
        }

        WriteRegister((int)(offset >> 4) & 0xff, BinaryPrimitives.ReadUInt32LittleEndian(data));
    }

    /// <inheritdoc/>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Field("base", ref _base);
        visitor.Field("task_priority", ref _taskPriority);
        visitor.Field("logical_destination", ref _logicalDestination);
        visitor.Field("destination_format", ref _destinationFormat);
        visitor.Field("spurious", ref _spurious);
        visitor.Field("errors", ref _errors);
        visitor.Field("visible_errors", ref _visibleErrors);
        visitor.Field("command", ref _command);
        visitor.Field("external_message", ref _externalMessage);
        for (int i = 0; i < _vectorTable.Length; i++) visitor.Field($"vector_table{i}", ref _vectorTable[i]);
        _requests.DescribeState(visitor, "requests");
        _inService.DescribeState(visitor, "in_service");
        _triggerModes.DescribeState(visitor, "trigger_modes");
        _timer.DescribeState(visitor);
        Update();
    }

    private void ResetRegisters()
    {
        _requests = default;
        _inService = default;
        _triggerModes = default;
        _taskPriority = 0;
        _destinationFormat = uint.MaxValue;
        _logicalDestination = IsX2Apic ? X2LogicalDestination : 0;
        _spurious = 0xff;
        _errors = _visibleErrors = 0;
        _command = 0;
        _externalMessage = false;
        _vectorTable.AsSpan().Fill(Masked);
        _timer.Reset();
        Update();
    }

    private bool AcceptVector(byte vector, bool level)
    {
        if (!IsSoftwareEnabled) return false;
        if (vector < 16)
        {
            Error(ReceiveIllegalVector);
            return false;
        }

        _requests.Add(vector);
        if (level) _triggerModes.Add(vector);
        else _triggerModes.Remove(vector);
        Update();
        return true;
    }

    /// <summary>An interrupt of the local vector table.</summary>
    private void Raise(int entry)
    {
        uint value = _vectorTable[entry];
        if (!IsEnabled || (value & Masked) != 0) return;
        switch ((ApicDeliveryMode)((value >> 8) & 7))
        {
            case ApicDeliveryMode.Fixed:
                AcceptVector((byte)value, (value & LevelTriggered) != 0 && entry is VectorTable.Lint0 or VectorTable.Lint1);
                break;
            case ApicDeliveryMode.Nmi:
                NmiReceived?.Invoke();
                break;
            case ApicDeliveryMode.Init:
                ResetRegisters();
                InitReceived?.Invoke();
                break;
        }
    }

    private void LocalInput(int entry, bool level)
    {
        if (!IsEnabled)
        {
            if (entry == VectorTable.Lint1 && level) NmiReceived?.Invoke();
            Update();
            return;
        }

        uint value = _vectorTable[entry];
        bool levelTriggered = (value & (LevelTriggered | 0x700)) == LevelTriggered;
        if (levelTriggered) ServeLocalLevel(entry);
        else if (level) Raise(entry);
        Update();
    }

    /// <summary>A level-triggered local input interrupts while it is high and the last one has ended.</summary>
    private void ServeLocalLevel(int entry)
    {
        InterruptLine line = entry == VectorTable.Lint0 ? Lint0 : Lint1;
        ref uint value = ref _vectorTable[entry];
        if (!line.Level || (value & (Masked | RemoteIrr | 0x700)) != 0 || (value & LevelTriggered) == 0) return;
        value |= RemoteIrr;
        if (!AcceptVector((byte)value, true)) value &= ~RemoteIrr;
    }

    private void EndOfInterrupt()
    {
        int vector = _inService.Highest();
        if (vector < 0) return;
        _inService.Remove(vector);
        if (_triggerModes.Contains(vector))
        {
            for (int entry = VectorTable.Lint0; entry <= VectorTable.Lint1; entry++)
            {
                if ((_vectorTable[entry] & RemoteIrr) == 0 || (byte)_vectorTable[entry] != vector) continue;
                _vectorTable[entry] &= ~RemoteIrr;
                ServeLocalLevel(entry);
            }

            _bus.BroadcastEndOfInterrupt((byte)vector);
        }

        Update();
    }

    /// <summary>Records an error; its interrupt comes with the first of them (Intel SDM 3A 10.5.3).</summary>
    private void Error(uint bit)
    {
        if ((_errors & bit) != 0) return;
        _errors |= bit;

        // An error vector that is illegal itself only records that.
        if ((_vectorTable[VectorTable.Error] & 0xff) < 16) _errors |= (_vectorTable[VectorTable.Error] & Masked) == 0 ? ReceiveIllegalVector : 0;
        else Raise(VectorTable.Error);
    }

    /// <summary>The vector the processor may take, or -1. Requests accepted before a software disable are still delivered (Intel SDM 3A 10.4.7.2).</summary>
    private int Deliverable()
    {
        if (!IsEnabled) return -1;
        int vector = _requests.Highest();
        return vector >= 0 && (uint)vector >> 4 > ProcessorPriority >> 4 ? vector : -1;
    }

    private void Update()
    {
        bool pending = ExternalPending || Deliverable() >= 0;
        if (pending == _pending) return;
        _pending = pending;
        InterruptPendingChanged?.Invoke(pending);
    }

    /// <summary>Indices into the local vector table, in the order of the registers from 320h.</summary>
    private static class VectorTable
    {
        public const int Timer = 0;
        public const int Thermal = 1;
        public const int Performance = 2;
        public const int Lint0 = 3;
        public const int Lint1 = 4;
        public const int Error = 5;
        public const int Count = 6;
    }

    /// <summary>Bits of IA32_APIC_BASE.</summary>
    private static class ApicBase
    {
        public const ulong Bootstrap = 1 << 8;
        public const ulong Extended = 1 << 10;
        public const ulong Enable = 1 << 11;
        public const ulong AddressMask = 0xff_ffff_f000;
        public const ulong Defined = AddressMask | Enable | Extended | Bootstrap;
    }
}
