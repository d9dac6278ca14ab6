using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.X87;

/// <summary>Trigonometric, logarithmic and exponential instructions (Intel SDM 1 8.3.7, 8.3.9).</summary>
internal static unsafe class X87Transcendental
{
    /// <summary>FSIN.</summary>
    public static bool Sine(Processor processor, VcpuState* s, Operation* op) => OneOfSineCosine(s, op, true);

    /// <summary>FCOS.</summary>
    public static bool Cosine(Processor processor, VcpuState* s, Operation* op) => OneOfSineCosine(s, op, false);

    /// <summary>FSINCOS: the sine replaces ST(0), the cosine is pushed.</summary>
    public static bool SineAndCosine(Processor processor, VcpuState* s, Operation* op)
    {
        X87Unit.Note(s, op);
        X87Unit.SetCodes(s, X87Unit.C2, 0);
        if (!X87Arithmetic.TryOneToTwo(s)) return true;
        FloatContext context = FloatContext.FromX87(s->X87Control);
        if (!Floatx80Math.TrySineCosine(X87Unit.Get(s, 0), ref context, true, true, out Floatx80 sine, out Floatx80 cosine)) return OutOfRange(s);
        Replace(s, sine, cosine, ref context);
        return true;
    }

    /// <summary>FPTAN: the tangent replaces ST(0), 1.0 is pushed.</summary>
    public static bool Tangent(Processor processor, VcpuState* s, Operation* op)
    {
        X87Unit.Note(s, op);
        X87Unit.SetCodes(s, X87Unit.C2, 0);
        if (!X87Arithmetic.TryOneToTwo(s)) return true;
        FloatContext context = FloatContext.FromX87(s->X87Control);
        if (!Floatx80Math.TryTangent(X87Unit.Get(s, 0), ref context, out Floatx80 tangent)) return OutOfRange(s);
        Replace(s, tangent, tangent.Class >= FloatClass.QuietNan ? tangent : Floatx80.One, ref context);
        return true;
    }

    /// <summary>FPATAN: ST(1) := atan(ST(1) / ST(0)), then pop.</summary>
    public static bool Arctangent(Processor processor, VcpuState* s, Operation* op)
    {
        if (!TryTwoToOne(s, op)) return true;
        FloatContext context = FloatContext.FromX87(s->X87Control);
        PopTo(s, Floatx80Math.Arctangent(X87Unit.Get(s, 1), X87Unit.Get(s, 0), ref context), ref context);
        return true;
    }

    /// <summary>FYL2X: ST(1) := ST(1) * log2 ST(0), then pop.</summary>
    public static bool Logarithm(Processor processor, VcpuState* s, Operation* op)
    {
        if (!TryTwoToOne(s, op)) return true;
        FloatContext context = FloatContext.FromX87(s->X87Control);
        PopTo(s, Floatx80Math.LogarithmTimes(X87Unit.Get(s, 1), X87Unit.Get(s, 0), ref context), ref context);
        return true;
    }

    /// <summary>FYL2XP1: ST(1) := ST(1) * log2(ST(0) + 1), then pop.</summary>
    public static bool LogarithmOfOnePlus(Processor processor, VcpuState* s, Operation* op)
    {
        if (!TryTwoToOne(s, op)) return true;
        FloatContext context = FloatContext.FromX87(s->X87Control);
        PopTo(s, Floatx80Math.LogarithmOfOnePlusTimes(X87Unit.Get(s, 1), X87Unit.Get(s, 0), ref context), ref context);
        return true;
    }

    /// <summary>F2XM1.</summary>
    public static bool ExponentialMinusOne(Processor processor, VcpuState* s, Operation* op)
    {
        if (!X87Arithmetic.TryTop(s, op)) return true;
        FloatContext context = FloatContext.FromX87(s->X87Control);
        Floatx80 result = Floatx80Math.ExponentialMinusOne(X87Unit.Get(s, 0), ref context);
        if (X87Unit.Settle(s, ref context)) X87Unit.Set(s, 0, result);
        return true;
    }

    private static bool OneOfSineCosine(VcpuState* s, Operation* op, bool wantSine)
    {
        X87Unit.SetCodes(s, X87Unit.C2, 0);
        if (!X87Arithmetic.TryTop(s, op)) return true;
        FloatContext context = FloatContext.FromX87(s->X87Control);
        if (!Floatx80Math.TrySineCosine(X87Unit.Get(s, 0), ref context, wantSine, !wantSine, out Floatx80 sine, out Floatx80 cosine)) return OutOfRange(s);
        if (X87Unit.Settle(s, ref context)) X87Unit.Set(s, 0, wantSine ? sine : cosine);
        return true;
    }

    private static bool OutOfRange(VcpuState* s)
    {
        X87Unit.SetCodes(s, X87Unit.C1, X87Unit.C2);
        return true;
    }

    private static void Replace(VcpuState* s, Floatx80 value, Floatx80 pushed, ref FloatContext context)
    {
        if (!X87Unit.Settle(s, ref context)) return;
        X87Unit.Set(s, 0, value);
        X87Unit.Push(s, pushed);
    }

    private static bool TryTwoToOne(VcpuState* s, Operation* op)
    {
        X87Unit.Note(s, op);
        if (!X87Unit.IsEmpty(s, 0) && !X87Unit.IsEmpty(s, 1)) return true;
        if (X87Unit.Underflow(s))
        {
            X87Unit.Set(s, 1, Floatx80.DefaultNan);
            X87Unit.Pop(s);
        }

        return false;
    }

    private static void PopTo(VcpuState* s, Floatx80 result, ref FloatContext context)
    {
        if (!X87Unit.Settle(s, ref context)) return;
        X87Unit.Set(s, 1, result);
        X87Unit.Pop(s);
    }
}
