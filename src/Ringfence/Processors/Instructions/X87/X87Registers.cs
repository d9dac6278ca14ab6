using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.X87;

/// <summary>Instructions that move between registers, load constants, or only manage the stack (Intel SDM 1 8.3.3, 8.3.4, 8.3.9).</summary>
internal static unsafe class X87Registers
{
    /// <summary>Pushes a loaded value if there is room and no signaling NaN is in the way; a denormal is loaded in any case.</summary>
    public static void PushChecked(VcpuState* s, Floatx80 value, ref FloatContext context)
    {
        if (!X87Unit.IsEmpty(s, -1))
        {
            if (X87Unit.Overflow(s)) X87Unit.Push(s, Floatx80.DefaultNan);
            return;
        }

        if (X87Unit.Settle(s, ref context) || (context.Flags & FloatExceptions.Invalid) == 0) X87Unit.Push(s, value);
    }

    /// <summary>FLD ST(i).</summary>
    public static bool Load(Processor processor, VcpuState* s, Operation* op)
    {
        X87Unit.Note(s, op);
        int i = X87Unit.Register(op);
        FloatContext context = default;
        if (X87Unit.IsEmpty(s, i))
        {
            if (X87Unit.Underflow(s)) X87Unit.Push(s, Floatx80.DefaultNan);
            return true;
        }

        PushChecked(s, X87Unit.Get(s, i), ref context);
        return true;
    }

    /// <summary>FST ST(i).</summary>
    public static bool Store(Processor processor, VcpuState* s, Operation* op)
    {
        StoreTop(s, op);
        return true;
    }

    /// <summary>FSTP ST(i).</summary>
    public static bool StoreAndPop(Processor processor, VcpuState* s, Operation* op)
    {
        if (StoreTop(s, op)) X87Unit.Pop(s);
        return true;
    }

    /// <summary>FSTPNCE ST(i): as FSTP, but an empty register is only popped, without an exception.</summary>
    public static bool StoreUncheckedAndPop(Processor processor, VcpuState* s, Operation* op)
    {
        X87Unit.Note(s, op);
        X87Unit.SetCodes(s, X87Unit.C1, 0);
        int i = X87Unit.Register(op);
        if (!X87Unit.IsEmpty(s, 0)) X87Unit.Set(s, i, X87Unit.Get(s, 0));
        X87Unit.Pop(s);
        return true;
    }

    /// <summary>FXCH.</summary>
    public static bool Exchange(Processor processor, VcpuState* s, Operation* op)
    {
        X87Unit.Note(s, op);
        int i = X87Unit.Register(op);
        if (X87Unit.IsEmpty(s, 0) || X87Unit.IsEmpty(s, i))
        {
            if (!X87Unit.Underflow(s)) return true;
            if (X87Unit.IsEmpty(s, 0)) X87Unit.Set(s, 0, Floatx80.DefaultNan);
            if (X87Unit.IsEmpty(s, i)) X87Unit.Set(s, i, Floatx80.DefaultNan);
        }
        else
        {
            X87Unit.SetCodes(s, X87Unit.C1, 0);
        }

        Floatx80 top = X87Unit.Get(s, 0);
        X87Unit.Set(s, 0, X87Unit.Get(s, i));
        X87Unit.Set(s, i, top);
        return true;
    }

    /// <summary>FCMOVB.</summary>
    public static bool MoveIfBelow(Processor processor, VcpuState* s, Operation* op) => Move(s, op, StatusFlags.Carry(s));

    /// <summary>FCMOVNB.</summary>
    public static bool MoveIfNotBelow(Processor processor, VcpuState* s, Operation* op) => Move(s, op, !StatusFlags.Carry(s));

    /// <summary>FCMOVE.</summary>
    public static bool MoveIfEqual(Processor processor, VcpuState* s, Operation* op) => Move(s, op, StatusFlags.Zero(s));

    /// <summary>FCMOVNE.</summary>
    public static bool MoveIfNotEqual(Processor processor, VcpuState* s, Operation* op) => Move(s, op, !StatusFlags.Zero(s));

    /// <summary>FCMOVBE.</summary>
    public static bool MoveIfBelowOrEqual(Processor processor, VcpuState* s, Operation* op) => Move(s, op, StatusFlags.Carry(s) || StatusFlags.Zero(s));

    /// <summary>FCMOVNBE.</summary>
    public static bool MoveIfNotBelowOrEqual(Processor processor, VcpuState* s, Operation* op) => Move(s, op, !StatusFlags.Carry(s) && !StatusFlags.Zero(s));

    /// <summary>FCMOVU.</summary>
    public static bool MoveIfUnordered(Processor processor, VcpuState* s, Operation* op) => Move(s, op, StatusFlags.Parity(s));

    /// <summary>FCMOVNU.</summary>
    public static bool MoveIfNotUnordered(Processor processor, VcpuState* s, Operation* op) => Move(s, op, !StatusFlags.Parity(s));

    /// <summary>FLD1.</summary>
    public static bool LoadOne(Processor processor, VcpuState* s, Operation* op) => Constant(s, op, Floatx80.One, 0);

    /// <summary>FLDZ.</summary>
    public static bool LoadZero(Processor processor, VcpuState* s, Operation* op) => Constant(s, op, default, 0);

    /// <summary>FLDPI.</summary>
    public static bool LoadPi(Processor processor, VcpuState* s, Operation* op) => Constant(s, op, new(0x4000, 0xc90f_daa2_2168_c234), 3);

    /// <summary>FLDL2E.</summary>
    public static bool LoadLog2E(Processor processor, VcpuState* s, Operation* op) => Constant(s, op, new(0x3fff, 0xb8aa_3b29_5c17_f0bb), 3);

    /// <summary>FLDL2T.</summary>
    public static bool LoadLog2Ten(Processor processor, VcpuState* s, Operation* op) => Constant(s, op, new(0x4000, 0xd49a_784b_cd1b_8afe), 1);

    /// <summary>FLDLG2.</summary>
    public static bool LoadLogTwo(Processor processor, VcpuState* s, Operation* op) => Constant(s, op, new(0x3ffd, 0x9a20_9a84_fbcf_f798), 3);

    /// <summary>FLDLN2.</summary>
    public static bool LoadLnTwo(Processor processor, VcpuState* s, Operation* op) => Constant(s, op, new(0x3ffe, 0xb172_17f7_d1cf_79ab), 3);

    /// <summary>FINCSTP.</summary>
    public static bool IncrementTop(Processor processor, VcpuState* s, Operation* op) => Rotate(s, op, 1);

    /// <summary>FDECSTP.</summary>
    public static bool DecrementTop(Processor processor, VcpuState* s, Operation* op) => Rotate(s, op, -1);

    /// <summary>FFREE.</summary>
    public static bool FreeRegister(Processor processor, VcpuState* s, Operation* op)
    {
        X87Unit.Note(s, op);
        X87Unit.SetCodes(s, X87Unit.C1, 0);
        X87Unit.Free(s, X87Unit.Register(op));
        return true;
    }

    /// <summary>FFREEP.</summary>
    public static bool FreeRegisterAndPop(Processor processor, VcpuState* s, Operation* op)
    {
        FreeRegister(processor, s, op);
        X87Unit.Pop(s);
        return true;
    }

    /// <summary>FNOP.</summary>
    public static bool NoOperation(Processor processor, VcpuState* s, Operation* op)
    {
        X87Unit.Note(s, op);
        return true;
    }

    private static bool StoreTop(VcpuState* s, Operation* op)
    {
        X87Unit.Note(s, op);
        int i = X87Unit.Register(op);
        if (X87Unit.IsEmpty(s, 0))
        {
            if (!X87Unit.Underflow(s)) return false;
            X87Unit.Set(s, i, Floatx80.DefaultNan);
            return true;
        }

        X87Unit.SetCodes(s, X87Unit.C1, 0);
        X87Unit.Set(s, i, X87Unit.Get(s, 0));
        return true;
    }

    private static bool Move(VcpuState* s, Operation* op, bool condition)
    {
        X87Unit.Note(s, op);
        int i = X87Unit.Register(op);
        if (X87Unit.IsEmpty(s, 0) || X87Unit.IsEmpty(s, i))
        {
            if (X87Unit.Underflow(s)) X87Unit.Set(s, 0, Floatx80.DefaultNan);
            return true;
        }

        if (condition) X87Unit.Set(s, 0, X87Unit.Get(s, i));
        return true;
    }

    /// <summary>Pushes a constant given chopped. <paramref name="roundUp"/> bit 0: inexact; bit 1: the nearest value is the next one.</summary>
    private static bool Constant(VcpuState* s, Operation* op, Floatx80 chopped, int roundUp)
    {
        X87Unit.Note(s, op);
        FloatContext context = FloatContext.FromX87(s->X87Control);
        bool up = context.Rounding switch
        {
            FloatRounding.Nearest => (roundUp & 2) != 0,
            FloatRounding.Up => (roundUp & 1) != 0,
            _ => false,
        };
        PushChecked(s, new(chopped.SignExponent, chopped.Significand + (up ? 1UL : 0)), ref context);
        return true;
    }

    private static bool Rotate(VcpuState* s, Operation* op, int count)
    {
        X87Unit.Note(s, op);
        X87Unit.SetCodes(s, X87Unit.C1, 0);
        X87Unit.Rotate(s, count);
        return true;
    }
}
