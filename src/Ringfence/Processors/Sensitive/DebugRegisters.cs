using Iced.Intel;
using Ringfence.Processors.Instructions;
using Register = Ringfence.Processors.Instructions.Register;

namespace Ringfence.Processors.Sensitive;

/// <summary>MOV to and from DR0 to DR7 (Intel SDM 3B 18.2): DR4 and DR5 are DR6 and DR7 unless CR4.DE; DR7.GD makes every access #DB.</summary>
internal static unsafe class DebugRegisters
{
    /// <summary>DR6.BD.</summary>
    public const ulong AccessDetectedBit = 1 << 13;

    /// <summary>DR6.BT.</summary>
    public const ulong TaskSwitchBit = 1 << 15;

    /// <summary>DR7.GD.</summary>
    public const ulong GeneralDetect = 1 << 13;

    private const ulong Dr6Changeable = 0xe00f;
    private const ulong Dr6Ones = 0xffff_0ff0;
    private const ulong Dr7Changeable = 0xffff_23ff;
    private const ulong Dr7Ones = 0x400;

    /// <summary>The handler, or null.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (instruction.Mnemonic != Mnemonic.Mov) return null;
        if (instruction.Op0Kind == OpKind.Register && instruction.Op0Register.IsDR())
        {
            op->Flags |= OperationFlags.EndsBlock;
            return &MoveToDebug<TAddressing>;
        }

        if (instruction.Op1Kind == OpKind.Register && instruction.Op1Register.IsDR()) return &MoveFromDebug<TAddressing>;
        return null;
    }

    private static Operation* MoveToDebug<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!TryAccess(processor, op->Destination, out int register)) return Flow.Fault(s, op);
        ulong value = TAddressing.IsLong ? Register.Read<ulong>(s, op->Source) : Register.Read<uint>(s, op->Source);
        if (register >= 6 && value >> 32 != 0) return Flow.Fault(processor, s, op, ExceptionVector.GeneralProtection, 0);
        switch (register)
        {
            case 6:
                s->Dr6 = (value & Dr6Changeable) | Dr6Ones;
                break;
            case 7:
                s->Dr7 = (value & Dr7Changeable) | Dr7Ones;
                break;
            default:
                s->DebugAddress[register] = value;
                break;
        }

        processor.RefreshMode();
        return Flow.Leave(s, op);
    }

    private static Operation* MoveFromDebug<TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TAddressing : struct, IAddressing
    {
        if (!TryAccess(processor, op->Source, out int register)) return Flow.Fault(s, op);
        ulong value = register switch
        {
            6 => s->Dr6,
            7 => s->Dr7,
            _ => s->DebugAddress[register],
        };
        Register.Write(s, op->Destination, TAddressing.IsLong ? value : (uint)value);
        return Flow.Next(processor, s, op);
    }

    private static bool TryAccess(Processor processor, int number, out int register)
    {
        VcpuState* s = processor.State;
        register = number is 4 or 5 ? number + 2 : number;
        if (number > 7 || (number is 4 or 5 && s->HasCr4(Cr4.De))) return Faults.InvalidOpcode(processor);
        if (s->Cpl != 0) return Faults.GeneralProtection(processor);
        if ((s->Dr7 & GeneralDetect) == 0) return true;
        s->Dr6 |= AccessDetectedBit;
        processor.RaiseFault(ExceptionVector.Debug);
        return false;
    }
}
