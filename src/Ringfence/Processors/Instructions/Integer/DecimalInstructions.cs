using Iced.Intel;

namespace Ringfence.Processors.Instructions.Integer;

/// <summary>DAA, DAS, AAA, AAS, AAM, AAD (Intel SDM 1 7.3.4).</summary>
internal static unsafe class DecimalInstructions
{
    /// <summary>The handler, or null if the instruction is none of these.</summary>
    public static Handler Select(in Instruction instruction) => instruction.Mnemonic switch
    {
        Mnemonic.Daa => &AdjustAfterAddition,
        Mnemonic.Das => &AdjustAfterSubtraction,
        Mnemonic.Aaa => &AsciiAdjustAfterAddition,
        Mnemonic.Aas => &AsciiAdjustAfterSubtraction,
        Mnemonic.Aam => &AsciiAdjustAfterMultiplication,
        Mnemonic.Aad => &AsciiAdjustBeforeDivision,
        _ => null,
    };

    private static Operation* AdjustAfterAddition(Processor processor, VcpuState* s, Operation* op)
    {
        byte al = (byte)s->Gpr[0];
        byte old = al;
        bool carry = StatusFlags.Carry(s);
        bool auxiliary = (al & 15) > 9 || StatusFlags.Auxiliary(s);
        bool newCarry = false;
        if (auxiliary)
        {
            newCarry = carry || al > 0xf9;
            al += 6;
        }

        if (old > 0x99 || carry)
        {
            al += 0x60;
            newCarry = true;
        }

        Finish(s, al, newCarry, auxiliary);
        return Flow.Next(processor, s, op);
    }

    private static Operation* AdjustAfterSubtraction(Processor processor, VcpuState* s, Operation* op)
    {
        byte al = (byte)s->Gpr[0];
        byte old = al;
        bool carry = StatusFlags.Carry(s);
        bool auxiliary = (al & 15) > 9 || StatusFlags.Auxiliary(s);
        bool newCarry = false;
        if (auxiliary)
        {
            newCarry = carry || al < 6;
            al -= 6;
        }

        if (old > 0x99 || carry)
        {
            al -= 0x60;
            newCarry = true;
        }

        Finish(s, al, newCarry, auxiliary);
        return Flow.Next(processor, s, op);
    }

    private static Operation* AsciiAdjustAfterAddition(Processor processor, VcpuState* s, Operation* op)
    {
        bool adjust = (s->Gpr[0] & 15) > 9 || StatusFlags.Auxiliary(s);
        ushort ax = (ushort)s->Gpr[0];
        if (adjust) ax += 0x106;
        FinishAscii(s, (ushort)(ax & 0xff0f), adjust);
        return Flow.Next(processor, s, op);
    }

    private static Operation* AsciiAdjustAfterSubtraction(Processor processor, VcpuState* s, Operation* op)
    {
        bool adjust = (s->Gpr[0] & 15) > 9 || StatusFlags.Auxiliary(s);
        ushort ax = (ushort)s->Gpr[0];
        if (adjust) ax -= 0x106;
        FinishAscii(s, (ushort)(ax & 0xff0f), adjust);
        return Flow.Next(processor, s, op);
    }

    private static Operation* AsciiAdjustAfterMultiplication(Processor processor, VcpuState* s, Operation* op)
    {
        byte divisor = (byte)op->Immediate;
        if (divisor == 0) return Flow.Fault(processor, s, op, ExceptionVector.DivideError);
        byte al = (byte)s->Gpr[0];
        Register.Write(s, 0, (ushort)(((al / divisor) << 8) | (al % divisor)));
        StatusFlags.SetLogical(s, (byte)s->Gpr[0]);
        return Flow.Next(processor, s, op);
    }

    private static Operation* AsciiAdjustBeforeDivision(Processor processor, VcpuState* s, Operation* op)
    {
        byte al = (byte)(s->Gpr[0] + ((s->Gpr[0] >> 8) * op->Immediate));
        Register.Write(s, 0, (ushort)al);
        StatusFlags.SetLogical(s, al);
        return Flow.Next(processor, s, op);
    }

    private static void Finish(VcpuState* s, byte al, bool carry, bool auxiliary)
    {
        Register.Write(s, 0, al);
        StatusFlags.SetResult(s, al, carry, false);
        if (auxiliary) s->StatusCarries |= 8;
    }

    private static void FinishAscii(VcpuState* s, ushort ax, bool adjusted)
    {
        Register.Write(s, 0, ax);
        StatusFlags.SetResult(s, (byte)ax, adjusted, false);
        if (adjusted) s->StatusCarries |= 8;
    }
}
