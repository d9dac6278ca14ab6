namespace Ringfence.Devices;

/// <summary>The registers, numbered by their MMIO offset / 16, which is their x2APIC MSR - 800h.</summary>
internal sealed partial class LocalApic
{
    private const int IdRegister = 0x02;
    private const int VersionRegister = 0x03;
    private const int TaskPriorityRegister = 0x08;
    private const int ArbitrationPriorityRegister = 0x09;
    private const int ProcessorPriorityRegister = 0x0a;
    private const int EndOfInterruptRegister = 0x0b;
    private const int RemoteReadRegister = 0x0c;
    private const int LogicalDestinationRegister = 0x0d;
    private const int DestinationFormatRegister = 0x0e;
    private const int SpuriousRegister = 0x0f;
    private const int InServiceRegister = 0x10;
    private const int TriggerModeRegister = 0x18;
    private const int RequestRegister = 0x20;
    private const int ErrorRegister = 0x28;
    private const int CommandRegister = 0x30;
    private const int CommandHighRegister = 0x31;
    private const int VectorTableRegister = 0x32;
    private const int InitialCountRegister = 0x38;
    private const int CurrentCountRegister = 0x39;
    private const int DivideRegister = 0x3e;
    private const int SelfRegister = 0x3f;

    private const uint CommandDefined = 0x000c_cfff;
    private const uint SpuriousDefined = 0x1ff;

    private uint ReadRegister(int register)
    {
        switch (register)
        {
            case IdRegister:
                return IsX2Apic ? (uint)Id : (uint)Id << 24;
            case VersionRegister:
                return Version;
            case TaskPriorityRegister:
                return _taskPriority;
            case ArbitrationPriorityRegister or ProcessorPriorityRegister:
                return ProcessorPriority;
            case RemoteReadRegister:
                return 0;
            case LogicalDestinationRegister:
                return _logicalDestination;
            case DestinationFormatRegister:
                return _destinationFormat;
            case SpuriousRegister:
                return _spurious;
            case >= InServiceRegister and < InServiceRegister + 8:
                return _inService[register - InServiceRegister];
            case >= TriggerModeRegister and < TriggerModeRegister + 8:
                return _triggerModes[register - TriggerModeRegister];
            case >= RequestRegister and < RequestRegister + 8:
                return _requests[register - RequestRegister];
            case ErrorRegister:
                return _visibleErrors;
            case CommandRegister:
                return (uint)_command;
            case CommandHighRegister:
                return (uint)(_command >> 32);
            case >= VectorTableRegister and < VectorTableRegister + VectorTable.Count:
                return _vectorTable[register - VectorTableRegister];
            case InitialCountRegister:
                return _timer.Initial;
            case CurrentCountRegister:
                return _timer.Current;
            case DivideRegister:
                return _timer.Divide;
            case EndOfInterruptRegister:
                return 0;
            default:
                Error(IllegalRegister);
                return 0;
        }
    }

    private void WriteRegister(int register, uint value)
    {
        switch (register)
        {
            case TaskPriorityRegister:
                _taskPriority = value & 0xff;
                Update();
                break;
            case EndOfInterruptRegister:
                EndOfInterrupt();
                break;
            case LogicalDestinationRegister:
                _logicalDestination = value & 0xff00_0000;
                break;
            case DestinationFormatRegister:
                _destinationFormat = value | 0x0fff_ffff;
                break;
            case SpuriousRegister:
                WriteSpurious(value);
                break;
            case ErrorRegister:
                _visibleErrors = _errors;
                _errors = 0;
                break;
            case CommandRegister:
                _command = (_command & 0xffff_ffff_0000_0000) | (value & CommandDefined);
                Send(ApicMessage.Widen((byte)(_command >> 56)));
                break;
            case CommandHighRegister:
                _command = (uint)_command | ((ulong)(value & 0xff00_0000) << 32);
                break;
            case >= VectorTableRegister and < VectorTableRegister + VectorTable.Count:
                WriteVectorTable(register - VectorTableRegister, value);
                break;
            case InitialCountRegister:
                _timer.Initial = value;
                break;
            case DivideRegister:
                _timer.Divide = value;
                break;
            case IdRegister or VersionRegister or ArbitrationPriorityRegister or ProcessorPriorityRegister or RemoteReadRegister
                or CurrentCountRegister or (>= InServiceRegister and < ErrorRegister):
                MisuseCount++;
                break;
            default:
                Error(IllegalRegister);
                break;
        }
    }

    private void WriteSpurious(uint value)
    {
        _spurious = value & SpuriousDefined;
        if ((_spurious & SoftwareEnable) == 0)
        {
            for (int i = 0; i < _vectorTable.Length; i++) _vectorTable[i] |= Masked;
            _timer.SetEntry(_vectorTable[VectorTable.Timer]);
        }

        Update();
    }

    private void WriteVectorTable(int entry, uint value)
    {
        value &= DefinedBits(entry);
        if ((_spurious & SoftwareEnable) == 0) value |= Masked;
        if ((value & (Masked | 0x700)) == 0 && (value & 0xff) < 16) Error(ReceiveIllegalVector);
        if (entry is VectorTable.Lint0 or VectorTable.Lint1) value |= _vectorTable[entry] & RemoteIrr & (value >> 1);
        _vectorTable[entry] = value;
        if (entry == VectorTable.Timer) _timer.SetEntry(value);
        else ServeLocalLevel(entry);
        Update();
    }

    private static uint DefinedBits(int entry) => entry switch
    {
        VectorTable.Timer => 0x7_00ff,
        VectorTable.Error => 0x1_00ff,
        VectorTable.Lint0 or VectorTable.Lint1 => 0x1_a7ff,
        _ => 0x1_07ff,
    };

    /// <summary>Sends the interrupt command (Intel SDM 3A 10.6.1).</summary>
    private void Send(uint destination)
    {
        uint command = (uint)_command;
        ApicDeliveryMode mode = (ApicDeliveryMode)((command >> 8) & 7);
        byte vector = (byte)command;
        bool level = (command & LevelTriggered) != 0;

        // INIT level de-assert only synchronizes arbitration IDs, which nothing here has.
        if (mode == ApicDeliveryMode.Init && level && (command & (1 << 14)) == 0) return;
        if (mode is ApicDeliveryMode.Reserved or ApicDeliveryMode.ExtInt)
        {
            MisuseCount++;
            return;
        }

        if (mode is ApicDeliveryMode.Fixed or ApicDeliveryMode.LowestPriority && vector < 16)
        {
            Error(SendIllegalVector);
            return;
        }

        // The level bit means something for INIT only; other messages are edges.
        ApicMessage message = new(destination, (command & (1 << 11)) != 0, mode, vector, false);
        switch ((command >> 18) & 3)
        {
            case 0:
                _bus.Deliver(message);
                break;
            case 1 when mode == ApicDeliveryMode.Fixed:
                Accept(message);
                break;
            case 2 when mode is ApicDeliveryMode.Fixed:
                _bus.Deliver(message with { Destination = ApicMessage.Broadcast, Logical = false });
                break;
            case 3:
                _bus.DeliverToOthers(this, message);
                break;
            default:
                MisuseCount++;
                break;
        }
    }
}
