namespace Ringfence.Devices;

/// <summary>The MSRs: IA32_APIC_BASE, IA32_TSC_DEADLINE and the x2APIC registers (Intel SDM 3A 10.4.4, 10.5.4.1, 10.12).</summary>
internal sealed partial class LocalApic
{
    /// <summary>IA32_APIC_BASE.</summary>
    public const uint ApicBaseMsr = 0x1b;

    /// <summary>IA32_TSC_DEADLINE.</summary>
    public const uint TscDeadlineMsr = 0x6e0;

    /// <summary>First x2APIC MSR.</summary>
    public const uint FirstX2ApicMsr = 0x800;

    /// <summary>Last x2APIC MSR.</summary>
    public const uint LastX2ApicMsr = 0x8ff;

    private uint X2LogicalDestination => ((uint)Id >> 4 << 16) | (1u << (Id & 15));

    /// <summary>Reads an MSR of the APIC. False: #GP(0).</summary>
    public bool TryReadMsr(uint msr, out ulong value)
    {
        value = 0;
        switch (msr)
        {
            case ApicBaseMsr:
                value = _base;
                return true;
            case TscDeadlineMsr:
                value = _timer.Deadline;
                return true;
            case < FirstX2ApicMsr or > LastX2ApicMsr:
                return false;
        }

        int register = (int)(msr - FirstX2ApicMsr);
        if (!IsX2Apic || !IsReadableInX2Apic(register)) return false;
        value = register == CommandRegister ? _command : ReadRegister(register);
        return true;
    }

    /// <summary>Writes an MSR of the APIC. False: #GP(0).</summary>
    public bool TryWriteMsr(uint msr, ulong value)
    {
        switch (msr)
        {
            case ApicBaseMsr:
                return TryWriteBase(value);
            case TscDeadlineMsr:
                _timer.Deadline = value;
                return true;
            case < FirstX2ApicMsr or > LastX2ApicMsr:
                return false;
        }

        if (!IsX2Apic) return false;
        int register = (int)(msr - FirstX2ApicMsr);
        switch (register)
        {
            case CommandRegister:
                if ((value & 0xffff_ffff & ~(ulong)CommandDefined) != 0) return false;
                _command = value;
                Send((uint)(value >> 32));
                return true;
            case SelfRegister:
                if (value > 0xff) return false;
                SendToSelf((byte)value);
                return true;
        }

        if ((value & ~WritableInX2Apic(register)) != 0 || !IsWritableInX2Apic(register)) return false;
        WriteRegister(register, (uint)value);
        return true;
    }

    private static bool IsReadableInX2Apic(int register) => register is IdRegister or VersionRegister or TaskPriorityRegister
        or ProcessorPriorityRegister or LogicalDestinationRegister or SpuriousRegister or (>= InServiceRegister and <= ErrorRegister)
        or CommandRegister or (>= VectorTableRegister and < VectorTableRegister + VectorTable.Count)
        or InitialCountRegister or CurrentCountRegister or DivideRegister;

    private static bool IsWritableInX2Apic(int register) => register is TaskPriorityRegister or EndOfInterruptRegister or SpuriousRegister
        or ErrorRegister or (>= VectorTableRegister and < VectorTableRegister + VectorTable.Count) or InitialCountRegister or DivideRegister;

    private static ulong WritableInX2Apic(int register) => register switch
    {
        TaskPriorityRegister => 0xff,
        EndOfInterruptRegister or ErrorRegister => 0,
        SpuriousRegister => SpuriousDefined,
        >= VectorTableRegister and < VectorTableRegister + VectorTable.Count => DefinedBits(register - VectorTableRegister) | RemoteIrr | (1 << 12),
        InitialCountRegister => uint.MaxValue,
        DivideRegister => 0xb,
        _ => ulong.MaxValue,
    };

    private void SendToSelf(byte vector)
    {
        if (vector < 16) Error(SendIllegalVector);
        else AcceptVector(vector, false);
    }

    /// <summary>The modes' transitions (Intel SDM 3A figure 10-27): from x2APIC only to disabled, from disabled only to xAPIC.</summary>
    private bool TryWriteBase(ulong value)
    {
        if ((value & ~ApicBase.Defined) != 0) return false;
        bool enable = (value & ApicBase.Enable) != 0;
        bool extended = (value & ApicBase.Extended) != 0;
        if (extended && !enable) return false;
        if (IsX2Apic && enable && !extended) return false;
        if (!IsEnabled && extended) return false;

        bool wasEnabled = IsEnabled;
        bool wasX2Apic = IsX2Apic;
        _base = value;
        if (wasEnabled != enable)
        {
            ResetRegisters();
        }
        else if (wasX2Apic != extended)
        {
            _logicalDestination = X2LogicalDestination;
            _command &= uint.MaxValue;
        }

        Update();
        BaseChanged?.Invoke();
        return true;
    }
}
