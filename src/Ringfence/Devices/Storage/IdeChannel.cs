namespace Ringfence.Devices.Storage;

/// <summary>
/// One channel of an IDE controller: the ports through which two devices are seen, their interrupt, and the channel's bus master
/// (ATA/ATAPI-6, chapters 7 and 9). Both devices take what is written to the command block; the selected one answers.
/// </summary>
internal sealed class IdeChannel : IAtaTransport
{
    private const int DataRegister = 0;
    private const int DeviceRegister = 6;
    private const int CommandRegister = 7;
    private const byte DeviceReset = 0x08;
    private const byte ExecuteDiagnostic = 0x90;

    private const byte InterruptsOff = 0x02;
    private const byte SoftwareReset = 0x04;
    private const byte HighOrderByte = 0x80;

    private readonly string _name;
    private readonly InterruptLine _irq;
    private readonly IdeBusMaster _busMaster;
    private readonly Slot[] _slots;
    private byte _control;
    private byte _selected;

    /// <summary>Makes a channel.</summary>
    /// <param name="name">Its name in the controller's state.</param>
    /// <param name="irq">Its interrupt.</param>
    /// <param name="busMaster">Its bus master.</param>
    /// <param name="first">Device 0; null: there is none.</param>
    /// <param name="second">Device 1; null: there is none.</param>
    public IdeChannel(string name, InterruptLine irq, IdeBusMaster busMaster, AtaDevice? first, AtaDevice? second)
    {
        _name = name;
        _irq = irq;
        _busMaster = busMaster;
        _slots = [new Slot(first), new Slot(second)];
        CommandPorts = new Ports(this);
        ControlPort = new BytePorts(_ => Selected.Status, (_, value) => WriteControl(value));
        foreach (Slot slot in _slots)
        {
            if (slot.Device is not { } device) continue;
            device.Transport = this;
            device.Reset(hardware: true);
        }
    }

    /// <summary>The command block: eight ports.</summary>
    public IBusDevice CommandPorts { get; }

    /// <summary>Alternate status and device control: one port.</summary>
    public IBusDevice ControlPort { get; }

    /// <summary>Accesses that no correct driver makes.</summary>
    public ulong MisuseCount { get; private set; }

    private Slot Selected => _slots[_selected];

    private bool IsEmpty => _slots[0].Device is null && _slots[1].Device is null;

    /// <summary>Takes channel and devices to their state after RESET.</summary>
    public void Reset()
    {
        _busMaster.Reset();
        _control = 0;
        _selected = 0;
        foreach (Slot slot in _slots) slot.Reset(hardware: true);
        UpdateInterrupt();
    }

    /// <summary>Visits the channel's state. A transfer under way is not part of it: a guest that is restored in one sees a device that does not answer until it is reset.</summary>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Field($"{_name}_control", ref _control);
        visitor.Field($"{_name}_selected", ref _selected);
        _selected &= 1;
        for (int i = 0; i < _slots.Length; i++) _slots[i].DescribeState(visitor, $"{_name}{i}");
        _busMaster.DescribeState(visitor, _name);
        UpdateInterrupt();
    }

    /// <summary>Reads a register of the bus master.</summary>
    public byte ReadBusMaster(int register) => _busMaster.Read(register);

    /// <summary>Writes a register of the bus master.</summary>
    public void WriteBusMaster(int register, byte value)
    {
        _busMaster.Write(register, value);
        if (register == 0) RunBusMaster();
    }

    /// <inheritdoc/>
    public void ReceivePacket(AtaDevice device, Memory<byte> packet, Action done) =>
        Transfer(device, new AtaTransfer(IsDma: false, ToHost: false, packet, packet.Length, IsFirst: true, done));

    /// <inheritdoc/>
    public void Transfer(AtaDevice device, AtaTransfer transfer)
    {
        Slot slot = SlotOf(device);
        slot.Transfer = transfer;
        slot.Position = 0;
        if (!transfer.IsDma)
        {
            BeginBlock(slot);
            return;
        }

        slot.Registers.Status = AtaStatus.Idle | AtaStatus.DataRequest;
        RunBusMaster();
    }

    /// <inheritdoc/>
    public void Complete(AtaDevice device, bool interrupt)
    {
        if (interrupt) RaiseInterrupt(SlotOf(device));
    }

    private Slot SlotOf(AtaDevice device) => _slots[0].Device == device ? _slots[0] : _slots[1];

    private byte ReadRegister(int register)
    {
        if (IsEmpty) return 0;
        Slot slot = Selected;
        if (register != CommandRegister) return slot.Registers.Read(register, (_control & HighOrderByte) != 0);
        slot.IsInterrupting = false;
        UpdateInterrupt();
        return slot.Status;
    }

    private void WriteRegister(int register, byte value)
    {
        _control &= unchecked((byte)~HighOrderByte);
        bool isBusy = (Selected.Status & (AtaStatus.Busy | AtaStatus.DataRequest)) != 0;
        if (register == CommandRegister)
        {
            Execute(value, isBusy);
            return;
        }

        if (isBusy)
        {
            MisuseCount++;
            return;
        }

        foreach (Slot slot in _slots) slot.Registers.Write(register, value);
        if (register != DeviceRegister) return;
        _selected = (byte)((value & AtaRegisters.SecondDevice) != 0 ? 1 : 0);
        UpdateInterrupt();
    }

    private void Execute(byte command, bool isBusy)
    {
        Slot slot = Selected;
        if ((_control & SoftwareReset) != 0 || slot.Device is not { } device || (isBusy && command != DeviceReset))
        {
            MisuseCount++;
            return;
        }

        slot.IsInterrupting = false;
        UpdateInterrupt();
        if (command == ExecuteDiagnostic)
        {
            // Both devices carry it out, and device 0 reports.
            foreach (Slot other in _slots) other.Reset(hardware: false);
            _selected = 0;
            RaiseInterrupt(_slots[0]);
            return;
        }

        slot.Transfer = null;
        device.Execute(command);
    }

    private void WriteControl(byte value)
    {
        byte old = _control;
        _control = value;
        if ((value & SoftwareReset) != 0)
        {
            foreach (Slot slot in _slots)
            {
                slot.Reset(hardware: false);
                slot.Registers.Status = AtaStatus.Busy;
            }
        }
        else if ((old & SoftwareReset) != 0)
        {
            foreach (Slot slot in _slots) slot.Reset(hardware: false);
            _selected = 0;
        }

        UpdateInterrupt();
    }

    private void ReadData(Span<byte> data)
    {
        data.Clear();
        Slot slot = Selected;
        if (slot.Transfer is not { IsDma: false, ToHost: true } transfer)
        {
            MisuseCount++;
            return;
        }

        int length = Math.Min(data.Length, slot.BlockEnd - slot.Position);
        transfer.Data.Span.Slice(slot.Position, length).CopyTo(data);
        slot.Position += length;
        if (slot.Position == slot.BlockEnd) EndBlock(slot);
    }

    private void WriteData(ReadOnlySpan<byte> data)
    {
        Slot slot = Selected;
        if (slot.Transfer is not { IsDma: false, ToHost: false } transfer)
        {
            MisuseCount++;
            return;
        }

        int length = Math.Min(data.Length, slot.BlockEnd - slot.Position);
        data[..length].CopyTo(transfer.Data.Span[slot.Position..]);
        slot.Position += length;
        if (slot.Position == slot.BlockEnd) EndBlock(slot);
    }

    private void BeginBlock(Slot slot)
    {
        AtaTransfer transfer = slot.Transfer!;
        int bytes = Math.Min(transfer.BlockBytes, transfer.Data.Length - slot.Position);
        slot.BlockEnd = slot.Position + bytes;
        transfer.BlockBegins?.Invoke(bytes);
        slot.Registers.Status = AtaStatus.Idle | AtaStatus.DataRequest;
        if (slot.Position > 0 || !transfer.IsFirst) RaiseInterrupt(slot);
    }

    private void EndBlock(Slot slot)
    {
        if (slot.Position < slot.Transfer!.Data.Length) BeginBlock(slot);
        else EndTransfer(slot);
    }

    private void EndTransfer(Slot slot)
    {
        AtaTransfer transfer = slot.Transfer!;
        slot.Transfer = null;
        slot.Registers.Status = AtaStatus.Idle | AtaStatus.Busy;
        transfer.Done();
    }

    private void RunBusMaster()
    {
        foreach (Slot slot in _slots)
        {
            if (!_busMaster.IsActive) return;
            if (slot.Transfer is not { IsDma: true } transfer) continue;
            slot.Position += _busMaster.Move(transfer.Data.Span[slot.Position..], transfer.ToHost);
            if (slot.Position == transfer.Data.Length) EndTransfer(slot);
        }
    }

    private void RaiseInterrupt(Slot slot)
    {
        slot.IsInterrupting = slot.Device is not null;
        UpdateInterrupt();
    }

    private void UpdateInterrupt()
    {
        bool level = Selected.IsInterrupting && (_control & InterruptsOff) == 0;
        if (level && !_irq.Level) _busMaster.NoteInterrupt();
        _irq.Set(level);
    }

    /// <summary>The command block as the bus sees it: the data register takes accesses of any width, the others are bytes.</summary>
    private sealed class Ports(IdeChannel channel) : IBusDevice
    {
        public void Read(ulong offset, Span<byte> data)
        {
            if (offset == DataRegister)
            {
                channel.ReadData(data);
                return;
            }

            for (int i = 0; i < data.Length; i++) data[i] = channel.ReadRegister((int)offset + i);
        }

        public void Write(ulong offset, ReadOnlySpan<byte> data)
        {
            if (offset == DataRegister)
            {
                channel.WriteData(data);
                return;
            }

            for (int i = 0; i < data.Length; i++) channel.WriteRegister((int)offset + i, data[i]);
        }
    }

    /// <summary>A device's place at the cable. Its registers exist without a device too: the other one answers for it, with a status of zero.</summary>
    private sealed class Slot(AtaDevice? device)
    {
        private bool _isInterrupting;

        public AtaDevice? Device => device;

        public AtaRegisters Registers { get; } = device?.Registers ?? new AtaRegisters();

        public AtaTransfer? Transfer { get; set; }

        public int Position { get; set; }

        public int BlockEnd { get; set; }

        public bool IsInterrupting { get => _isInterrupting; set => _isInterrupting = value; }

        public byte Status => device is null ? (byte)0 : Registers.Status;

        public void Reset(bool hardware)
        {
            Transfer = null;
            IsInterrupting = false;
            device?.Reset(hardware);
        }

        public void DescribeState(IStateVisitor visitor, string name)
        {
            if (device is null) Registers.DescribeState(visitor, name);
            else device.DescribeState(visitor, name);
            visitor.Field($"{name}_interrupting", ref _isInterrupting);
        }
    }
}
