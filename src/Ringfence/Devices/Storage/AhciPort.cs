using System.Buffers.Binary;

namespace Ringfence.Devices.Storage;

/// <summary>
/// One port of an AHCI controller: it fetches commands from the list in memory, lowest slot first and one at a time, gives them to its device,
/// scatters data over the regions of the command's table, and stores what the device reports (Serial ATA AHCI 1.3.1, 3.3, 4 and 5). A command
/// that fails stays in PxCI and stops the list until the driver clears PxCMD.ST (6.2.2).
/// </summary>
internal sealed class AhciPort : IAtaTransport
{
    private const int CommandList = 0x00;
    private const int CommandListHigh = 0x04;
    private const int Fis = 0x08;
    private const int FisHigh = 0x0c;
    private const int InterruptStatus = 0x10;
    private const int InterruptEnable = 0x14;
    private const int Command = 0x18;
    private const int TaskFile = 0x20;
    private const int SignatureRegister = 0x24;
    private const int SataStatus = 0x28;
    private const int SataControl = 0x2c;
    private const int SataError = 0x30;
    private const int CommandIssue = 0x38;

    // PxIS
    private const uint DeviceToHostReceived = 1u << 0;
    private const uint PioSetupReceived = 1u << 1;
    private const uint PortChanged = 1u << 6;
    private const uint Overflow = 1u << 24;
    private const uint InterfaceFatal = 1u << 27;
    private const uint TaskFileError = 1u << 30;
    private const uint InterruptBits = 0xfdc0_00ff;

    // PxCMD
    private const uint Start = 1u << 0;
    private const uint AlwaysOn = 3u << 1;
    private const uint CommandListOverride = 1u << 3;
    private const uint FisReceive = 1u << 4;
    private const uint FisRunning = 1u << 14;
    private const uint ListRunning = 1u << 15;
    private const uint CommandWritable = Start | FisReceive | 1u << 24 | 1u << 25;

    private const uint Exchanged = 1u << 26;
    private const uint DetectionMask = 0x0f;
    private const uint LinkUp = 0x113;
    private const uint NoTaskFile = 0x7f;
    private const int NoSlot = -1;

    private const int HeaderBytes = 32;
    private const int PacketOffset = 0x40;
    private const int TableOffset = 0x80;
    private const int RegionBytes = 16;
    private const int FisBytes = 20;
    private const byte HostToDevice = 0x27;
    private const byte DeviceToHost = 0x34;
    private const byte PioSetup = 0x5f;
    private const byte SoftwareReset = 0x04;

    private readonly string _name;
    private readonly IGuestMemory _memory;
    private readonly Func<bool> _mayMaster;
    private readonly AtaDevice? _device;
    private readonly Action _changed;
    private ulong _commandList;
    private ulong _fis;
    private uint _interruptStatus;
    private uint _interruptEnable;
    private uint _command;
    private uint _taskFile;
    private uint _signature;
    private uint _sataStatus;
    private uint _sataControl;
    private uint _sataError;
    private uint _issued;
    private bool _inSoftwareReset;
    private bool _signatureWaits;
    private bool _isStopped;
    private bool _isRunning;

    // The command under way.
    private int _slot = NoSlot;
    private ulong _header;
    private ulong _table;
    private int _regions;
    private int _region;
    private uint _regionOffset;
    private uint _bytesMoved;

    /// <summary>Makes a port.</summary>
    /// <param name="number">Its number.</param>
    /// <param name="memory">Guest memory.</param>
    /// <param name="mayMaster">Is the function allowed to access memory?</param>
    /// <param name="device">What hangs on it; null: nothing.</param>
    /// <param name="changed">Called when <see cref="IsInterrupting"/> may have changed while no register was written.</param>
    public AhciPort(int number, IGuestMemory memory, Func<bool> mayMaster, AtaDevice? device, Action changed)
    {
        _name = $"port{number}";
        _memory = memory;
        _mayMaster = mayMaster;
        _device = device;
        _changed = changed;
        if (device is not null) device.Transport = this;
        Reset();
    }

    /// <summary>Has the port an interrupt that is enabled?</summary>
    public bool IsInterrupting => (Status & _interruptEnable) != 0;

    // PCS shows what stands in PxSERR.
    private uint Status => _interruptStatus | ((_sataError & Exchanged) != 0 ? PortChanged : 0);

    /// <summary>Takes port and device to their state after a reset of the controller.</summary>
    public void Reset()
    {
        _commandList = _fis = 0;
        _interruptStatus = _interruptEnable = 0;
        _command = 0;
        _sataControl = 0;
        _sataError = 0;
        _issued = 0;
        ResetLink();
    }

    /// <summary>Reads a register.</summary>
    public uint Read(int offset) => offset switch
    {
        CommandList => (uint)_commandList,
        CommandListHigh => (uint)(_commandList >> 32),
        Fis => (uint)_fis,
        FisHigh => (uint)(_fis >> 32),
        InterruptStatus => Status,
        InterruptEnable => _interruptEnable,
        Command => ReadCommand(),
        TaskFile => _taskFile,
        SignatureRegister => _signature,
        SataStatus => _sataStatus,
        SataControl => _sataControl,
        SataError => _sataError,
        CommandIssue => _issued,
        _ => 0,
    };

    /// <summary>Writes a register.</summary>
    public void Write(int offset, uint value)
    {
        switch (offset)
        {
            case CommandList:
                _commandList = (_commandList & ~0xffff_ffffUL) | (value & ~0x3ffu);
                break;
            case CommandListHigh:
                _commandList = (uint)_commandList | ((ulong)value << 32);
                break;
            case Fis:
                _fis = (_fis & ~0xffff_ffffUL) | (value & ~0xffu);
                break;
            case FisHigh:
                _fis = (uint)_fis | ((ulong)value << 32);
                break;
            case InterruptStatus:
                _interruptStatus &= ~value;
                break;
            case InterruptEnable:
                _interruptEnable = value & InterruptBits;
                break;
            case Command:
                WriteCommand(value);
                break;
            case SataControl:
                WriteSataControl(value);
                break;
            case SataError:
                _sataError &= ~value;
                break;
            case CommandIssue when (_command & Start) != 0:
                _issued |= value;
                Run();
                break;
        }
    }

    /// <summary>Visits the port's state. A command under way is not part of it: it is fetched anew.</summary>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Field($"{_name}_command_list", ref _commandList);
        visitor.Field($"{_name}_fis", ref _fis);
        visitor.Field($"{_name}_is", ref _interruptStatus);
        visitor.Field($"{_name}_ie", ref _interruptEnable);
        visitor.Field($"{_name}_cmd", ref _command);
        visitor.Field($"{_name}_tfd", ref _taskFile);
        visitor.Field($"{_name}_sig", ref _signature);
        visitor.Field($"{_name}_ssts", ref _sataStatus);
        visitor.Field($"{_name}_sctl", ref _sataControl);
        visitor.Field($"{_name}_serr", ref _sataError);
        visitor.Field($"{_name}_ci", ref _issued);
        visitor.Field($"{_name}_in_software_reset", ref _inSoftwareReset);
        visitor.Field($"{_name}_signature_waits", ref _signatureWaits);
        visitor.Field($"{_name}_stopped", ref _isStopped);
        _command &= CommandWritable;
        _interruptStatus &= InterruptBits;
        _signatureWaits &= _device is not null;
        _device?.DescribeState(visitor, _name);
        Run();
    }

    /// <inheritdoc/>
    public void ReceivePacket(AtaDevice device, Memory<byte> packet, Action done)
    {
        ReadMemory(_table + PacketOffset, packet.Span);
        done();
    }

    /// <inheritdoc/>
    public void Transfer(AtaDevice device, AtaTransfer transfer)
    {
        int moved = Move(transfer.Data.Span, transfer.ToHost);
        _bytesMoved += (uint)moved;
        if (moved < transfer.Data.Length)
        {
            _interruptStatus |= Overflow;
            if (!transfer.ToHost)
            {
                // What the host does not send cannot be stored.
                device.Forget();
                device.Registers.Error = AtaError.Aborted;
                device.Registers.Status = AtaStatus.Idle | AtaStatus.Error;
                Complete(device, interrupt: true);
                return;
            }
        }

        transfer.Done();
    }

    /// <inheritdoc/>
    public void Complete(AtaDevice device, bool interrupt)
    {
        if (_slot == NoSlot) return;
        AtaRegisters registers = device.Registers;
        bool isError = (registers.Status & AtaStatus.Error) != 0;
        Span<byte> count = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(count, _bytesMoved);
        WriteMemory(_header + 4, count);
        _taskFile = (uint)(registers.Status | (registers.Error << 8));
        if (interrupt)
        {
            StoreFis(0x40, DeviceToHost, registers.Status);
            _interruptStatus |= DeviceToHostReceived;
        }
        else
        {
            StoreFis(0x20, PioSetup, (byte)(registers.Status | AtaStatus.DataRequest));
            _interruptStatus |= PioSetupReceived;
        }

        if (isError)
        {
            _interruptStatus |= TaskFileError;
            _isStopped = true;
        }
        else
        {
            _issued &= ~(1u << _slot);
        }

        _slot = NoSlot;
        _changed();
        Run();
    }

    private uint ReadCommand()
    {
        uint value = _command | AlwaysOn;
        if ((_command & Start) != 0) value |= ListRunning;
        if ((_command & FisReceive) != 0) value |= FisRunning;
        if (_slot != NoSlot) value |= (uint)_slot << 8;
        return value;
    }

    private void WriteCommand(uint value)
    {
        uint old = _command;
        _command = value & CommandWritable;
        if ((_command & FisReceive) != 0 && _signatureWaits) SendSignature();
        if ((_command & Start) == 0 && (value & CommandListOverride) != 0) _taskFile &= ~(uint)(AtaStatus.Busy | AtaStatus.DataRequest);
        if ((old & Start) != 0 && (_command & Start) == 0)
        {
            // The list is forgotten, and with it the command under way; its device stays busy.
            if (_slot != NoSlot) _device?.Forget();
            _slot = NoSlot;
            _issued = 0;
            _isStopped = false;
        }
    }

    private void WriteSataControl(uint value)
    {
        uint old = _sataControl;
        _sataControl = value & 0xfff;
        uint detection = value & DetectionMask;
        if (detection == 1)
        {
            // COMRESET lasts until the field is written again.
            ForgetCommand();
            _sataStatus = 0;
            _taskFile = NoTaskFile;
        }
        else if (detection == 4)
        {
            ForgetCommand();
            _sataStatus = 4;
            _taskFile = NoTaskFile;
        }
        else if ((old & DetectionMask) is 1 or 4)
        {
            ResetLink();
        }
    }

    private void ForgetCommand()
    {
        if (_slot != NoSlot) _device?.Forget();
        _slot = NoSlot;
    }

    /// <summary>The device is reset and tells its signature as soon as the port receives what it sends (AHCI 10.4.2).</summary>
    private void ResetLink()
    {
        ForgetCommand();
        _inSoftwareReset = false;
        _isStopped = false;
        _signature = uint.MaxValue;
        _taskFile = NoTaskFile;
        _sataStatus = 0;
        if (_device is null) return;
        _sataStatus = LinkUp;
        _sataError |= Exchanged;
        _device.Reset(hardware: true);
        _signatureWaits = true;
        if ((_command & FisReceive) != 0) SendSignature();
    }

    private void SendSignature()
    {
        AtaRegisters registers = _device!.Registers;
        _signatureWaits = false;
        _signature = ((uint)_device.Signature << 16) | 0x0101;
        _taskFile = (uint)(registers.Status | (registers.Error << 8));
        StoreFis(0x40, DeviceToHost, registers.Status, interrupt: false);
    }

    /// <summary>Gives the device commands until one takes time or none is left.</summary>
    private void Run()
    {
        if (_isRunning) return;
        _isRunning = true;
        while (_slot == NoSlot && _issued != 0 && (_command & Start) != 0 && !_isStopped && _device is not null && _mayMaster())
            Execute(_device, int.TrailingZeroCount((int)_issued));
        _isRunning = false;
    }

    private void Execute(AtaDevice device, int slot)
    {
        Span<byte> header = stackalloc byte[HeaderBytes];
        Span<byte> fis = stackalloc byte[FisBytes];
        _header = _commandList + (ulong)(slot * HeaderBytes);
        ReadMemory(_header, header);
        _table = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]) & ~0x7fUL;
        _regions = BinaryPrimitives.ReadUInt16LittleEndian(header[2..]);
        _region = 0;
        _regionOffset = 0;
        _bytesMoved = 0;
        ReadMemory(_table, fis);
        if (fis[0] != HostToDevice)
        {
            _interruptStatus |= InterfaceFatal;
            _isStopped = true;
            return;
        }

        if ((fis[1] & 0x80) == 0)
        {
            _issued &= ~(1u << slot);
            WriteDeviceControl(device, fis[15]);
            return;
        }

        AtaRegisters registers = device.Registers;
        registers.Features = (ushort)(fis[3] | (fis[11] << 8));
        registers.LbaLow = (ushort)(fis[4] | (fis[8] << 8));
        registers.LbaMid = (ushort)(fis[5] | (fis[9] << 8));
        registers.LbaHigh = (ushort)(fis[6] | (fis[10] << 8));
        registers.Device = fis[7];
        registers.SectorCount = (ushort)(fis[12] | (fis[13] << 8));
        _slot = slot;
        _taskFile = AtaStatus.Idle | AtaStatus.Busy;
        device.Execute(fis[2]);
    }

    /// <summary>A software reset is two commands that set and clear SRST (AHCI 10.4.1).</summary>
    private void WriteDeviceControl(AtaDevice device, byte control)
    {
        if ((control & SoftwareReset) != 0)
        {
            _inSoftwareReset = true;
            _taskFile = AtaStatus.Busy;
            return;
        }

        if (!_inSoftwareReset) return;
        _inSoftwareReset = false;
        device.Reset(hardware: false);
        SendSignature();
    }

    /// <summary>Moves data between the device and the command's regions, going on where the last transfer stopped; returns how many bytes.</summary>
    private int Move(Span<byte> data, bool toHost)
    {
        Span<byte> entry = stackalloc byte[RegionBytes];
        int moved = 0;
        while (moved < data.Length && _region < _regions)
        {
            ReadMemory(_table + TableOffset + (ulong)(_region * RegionBytes), entry);
            ulong address = BinaryPrimitives.ReadUInt64LittleEndian(entry) & ~1UL;
            uint length = (BinaryPrimitives.ReadUInt32LittleEndian(entry[12..]) & 0x3f_ffff) + 1;
            int part = (int)Math.Min(length > _regionOffset ? length - _regionOffset : 0, (uint)(data.Length - moved));
            if (toHost) WriteMemory(address + _regionOffset, data.Slice(moved, part));
            else ReadMemory(address + _regionOffset, data.Slice(moved, part));
            moved += part;
            _regionOffset += (uint)part;
            if (_regionOffset < length) continue;
            _region++;
            _regionOffset = 0;
        }

        return moved;
    }

    private void StoreFis(ulong offset, byte type, byte status, bool interrupt = true)
    {
        if ((_command & FisReceive) == 0) return;
        AtaRegisters registers = _device!.Registers;
        Span<byte> fis = stackalloc byte[FisBytes];
        fis.Clear();
        bool isPio = type == PioSetup;
        fis[0] = type;
        fis[1] = (byte)((interrupt ? 0x40 : 0) | (isPio ? 0x20 : 0));
        fis[2] = status;
        fis[3] = registers.Error;
        fis[4] = (byte)registers.LbaLow;
        fis[5] = (byte)registers.LbaMid;
        fis[6] = (byte)registers.LbaHigh;
        fis[7] = registers.Device;
        fis[8] = (byte)(registers.LbaLow >> 8);
        fis[9] = (byte)(registers.LbaMid >> 8);
        fis[10] = (byte)(registers.LbaHigh >> 8);
        fis[12] = (byte)registers.SectorCount;
        fis[13] = (byte)(registers.SectorCount >> 8);
        if (isPio)
        {
            fis[15] = registers.Status;
            BinaryPrimitives.WriteUInt16LittleEndian(fis[16..], (ushort)_bytesMoved);
        }

        WriteMemory(_fis + offset, fis);
    }

    private void ReadMemory(ulong address, Span<byte> data)
    {
        if (_mayMaster()) _memory.Read(address, data);
        else data.Fill(0xff);
    }

    private void WriteMemory(ulong address, ReadOnlySpan<byte> data)
    {
        if (_mayMaster()) _memory.Write(address, data);
    }
}
