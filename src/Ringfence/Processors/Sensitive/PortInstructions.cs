using System.Numerics;
using Iced.Intel;
using Ringfence.Memory;
using Ringfence.Processors.Instructions;
using IcedRegister = Iced.Intel.Register;
using Register = Ringfence.Processors.Instructions.Register;

namespace Ringfence.Processors.Sensitive;

/// <summary>
/// IN, OUT, INS, OUTS (Intel SDM 1 chapter 19). The repeated forms do a bounded number of iterations and then run again from the start, so
/// that interrupts are taken between iterations; after each the registers are as if the instruction had been interrupted there.
/// </summary>
internal static unsafe class PortInstructions
{
    private const int MaximumIterations = 64;

    /// <summary>The handler, or null.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction, Operation* op)
        where TAddressing : struct, IAddressing
    {
        bool fromRegister;
        Handler handler;
        switch (instruction.Mnemonic)
        {
            case Mnemonic.In:
                fromRegister = instruction.Op1Kind == OpKind.Register;
                handler = Size(instruction.Op0Register) switch
                {
                    1 => fromRegister ? &InputDx<byte> : &InputImmediate<byte>,
                    2 => fromRegister ? &InputDx<ushort> : &InputImmediate<ushort>,
                    _ => fromRegister ? &InputDx<uint> : &InputImmediate<uint>,
                };
                break;
            case Mnemonic.Out:
                fromRegister = instruction.Op0Kind == OpKind.Register;
                handler = Size(instruction.Op1Register) switch
                {
                    1 => fromRegister ? &OutputDx<byte> : &OutputImmediate<byte>,
                    2 => fromRegister ? &OutputDx<ushort> : &OutputImmediate<ushort>,
                    _ => fromRegister ? &OutputDx<uint> : &OutputImmediate<uint>,
                };
                break;
            case Mnemonic.Insb: handler = &InputString<byte, TAddressing>; break;
            case Mnemonic.Insw: handler = &InputString<ushort, TAddressing>; break;
            case Mnemonic.Insd: handler = &InputString<uint, TAddressing>; break;
            case Mnemonic.Outsb: handler = &OutputString<byte, TAddressing>; break;
            case Mnemonic.Outsw: handler = &OutputString<ushort, TAddressing>; break;
            case Mnemonic.Outsd: handler = &OutputString<uint, TAddressing>; break;
            default: return null;
        }

        op->Flags |= OperationFlags.EndsBlock;
        return handler;
    }

    private static int Size(IcedRegister register) => register.GetSize();

    private static Operation* Input<T>(Processor processor, VcpuState* s, Operation* op, ushort port)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        if (!TaskState.TryCheckPorts(processor, port, sizeof(T))) return Flow.Fault(s, op);
        CountAccess(processor, s, port, sizeof(T));
        T value = T.CreateTruncating(processor.Bus.ReadPort(port, sizeof(T)));
        Register.Write(s, 0, value);
        return Flow.Leave(s, op);
    }

    private static Operation* Output<T>(Processor processor, VcpuState* s, Operation* op, ushort port)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
    {
        if (!TaskState.TryCheckPorts(processor, port, sizeof(T))) return Flow.Fault(s, op);
        CountAccess(processor, s, port, sizeof(T));
        processor.Bus.WritePort(port, sizeof(T), uint.CreateTruncating(Register.Read<T>(s, 0)));
        return Flow.Leave(s, op);
    }

    private static Operation* InputImmediate<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => Input<T>(processor, s, op, (byte)op->Immediate);

    private static Operation* InputDx<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => Input<T>(processor, s, op, (ushort)s->Gpr[2]);

    private static Operation* OutputImmediate<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => Output<T>(processor, s, op, (byte)op->Immediate);

    private static Operation* OutputDx<T>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T> => Output<T>(processor, s, op, (ushort)s->Gpr[2]);

    private static Operation* InputString<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        const int Rdi = 7;
        if (!IsRepeated(op)) return TryInputElement<T, TAddressing>(processor, s, op, Rdi) ? Flow.Leave(s, op) : Flow.Fault(s, op);
        for (int i = 0; i < MaximumIterations; i++)
        {
            if (Count(s, op) == 0) return Flow.Leave(s, op);
            if (!TryInputElement<T, TAddressing>(processor, s, op, Rdi)) return Flow.Fault(s, op);
            Advance(s, op, 1, ulong.MaxValue);
        }

        return Count(s, op) == 0 ? Flow.Leave(s, op) : Flow.Repeat(s, op);
    }

    private static Operation* OutputString<T, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        const int Rsi = 6;
        if (!IsRepeated(op)) return TryOutputElement<T, TAddressing>(processor, s, op, Rsi) ? Flow.Leave(s, op) : Flow.Fault(s, op);
        for (int i = 0; i < MaximumIterations; i++)
        {
            if (Count(s, op) == 0) return Flow.Leave(s, op);
            if (!TryOutputElement<T, TAddressing>(processor, s, op, Rsi)) return Flow.Fault(s, op);
            Advance(s, op, 1, ulong.MaxValue);
        }

        return Count(s, op) == 0 ? Flow.Leave(s, op) : Flow.Repeat(s, op);
    }

    /// <summary>The memory operand is checked before the port is read: a device must not lose what it gave.</summary>
    private static bool TryInputElement<T, TAddressing>(Processor processor, VcpuState* s, Operation* op, int pointer)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        ushort port = (ushort)s->Gpr[2];
        int segment = (int)(TAddressing.IsLong ? SegmentIndex.Flat : SegmentIndex.Es);
        ulong offset = s->Gpr[pointer] & op->AddressMask;
        if (!TaskState.TryCheckPorts(processor, port, sizeof(T))) return false;
        if (!processor.Mmu.TryGetLinear(segment, offset, sizeof(T), write: true, out ulong linear)) return false;
        if (!processor.Mmu.TryProbeWrite(linear, sizeof(T), Privilege.Current)) return false;
        CountAccess(processor, s, port, sizeof(T));
        T value = T.CreateTruncating(processor.Bus.ReadPort(port, sizeof(T)));
        if (!Operand<TAddressing>.TryWriteAt(processor, s, segment, offset, value)) return false;
        Advance(s, op, pointer, Step<T>(s));
        return true;
    }

    private static bool TryOutputElement<T, TAddressing>(Processor processor, VcpuState* s, Operation* op, int pointer)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TAddressing : struct, IAddressing
    {
        ushort port = (ushort)s->Gpr[2];
        if (!TaskState.TryCheckPorts(processor, port, sizeof(T))) return false;
        if (!Operand<TAddressing>.TryReadAt(processor, s, op->Segment, s->Gpr[pointer] & op->AddressMask, out T value)) return false;
        CountAccess(processor, s, port, sizeof(T));
        processor.Bus.WritePort(port, sizeof(T), uint.CreateTruncating(value));
        Advance(s, op, pointer, Step<T>(s));
        return true;
    }

    private static void CountAccess(Processor processor, VcpuState* s, ushort port, int size)
    {
        processor.Statistics.PortAccesses++;
        processor.Exits.Describe(port);
        CheckBreakpoints(s, port, size);
    }

    /// <summary>I/O breakpoints (CR4.DE, R/W = 10b): #DB follows the instruction (Intel SDM 3B 18.2.4).</summary>
    private static void CheckBreakpoints(VcpuState* s, ushort port, int size)
    {
        if ((s->Dr7 & 0xff) == 0 || !s->HasCr4(Cr4.De)) return;
        for (int i = 0; i < 4; i++)
        {
            uint control = (uint)(s->Dr7 >> (16 + (i * 4))) & 15;
            if ((s->Dr7 & (3UL << (i * 2))) == 0 || (control & 3) != 2) continue;
            uint length = (control >> 2) + 1;
            ulong start = s->DebugAddress[i] & ~(ulong)(length - 1);
            if (port < start + length && start < (ulong)port + (ulong)size) s->DebugHits |= 1u << i;
        }
    }

    private static bool IsRepeated(Operation* op) => (op->Flags & (OperationFlags.Repeat | OperationFlags.RepeatNotEqual)) != 0;

    private static ulong Count(VcpuState* s, Operation* op) => s->Gpr[1] & op->AddressMask;

    private static ulong Step<T>(VcpuState* s)
        where T : unmanaged => (s->SystemFlags & RflagsBits.Df) != 0 ? 0UL - (ulong)sizeof(T) : (ulong)sizeof(T);

    /// <summary>Adds to a register in the address size: 16 bits leave the upper part alone, 32 bits clear it.</summary>
    private static void Advance(VcpuState* s, Operation* op, int register, ulong step)
    {
        ulong value = s->Gpr[register] + step;
        s->Gpr[register] = op->AddressMask == 0xffff ? (s->Gpr[register] & ~0xffffUL) | (value & 0xffff) : value & op->AddressMask;
    }
}
