using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.X87;

/// <summary>Basic arithmetic (Intel SDM 1 8.3.5), remainders, scaling, rounding.</summary>
internal static unsafe class X87Arithmetic
{
    /// <summary>ST(0) := ST(0) op ST(i).</summary>
    public static bool Top<TOperation>(Processor processor, VcpuState* s, Operation* op)
        where TOperation : struct, IX87Operation => Apply<TOperation>(s, op, 0, X87Unit.Register(op), false);

    /// <summary>ST(i) := ST(i) op ST(0).</summary>
    public static bool Other<TOperation>(Processor processor, VcpuState* s, Operation* op)
        where TOperation : struct, IX87Operation => Apply<TOperation>(s, op, X87Unit.Register(op), 0, false);

    /// <summary>ST(i) := ST(i) op ST(0), then pop.</summary>
    public static bool OtherAndPop<TOperation>(Processor processor, VcpuState* s, Operation* op)
        where TOperation : struct, IX87Operation => Apply<TOperation>(s, op, X87Unit.Register(op), 0, true);

    /// <summary>ST(0) := ST(0) op memory.</summary>
    public static bool Memory<TOperation, TSource, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TOperation : struct, IX87Operation
        where TSource : struct, IX87Source
        where TAddressing : struct, IAddressing
    {
        FloatContext context = FloatContext.FromX87(s->X87Control);
        if (!TSource.TryRead<TAddressing>(processor, s, op, ref context, out Floatx80 source)) return false;
        X87Unit.NoteMemory(s, op, Operand<TAddressing>.EffectiveAddress(s, op));
        if (X87Unit.IsEmpty(s, 0))
        {
            if (X87Unit.Underflow(s)) X87Unit.Set(s, 0, Floatx80.DefaultNan);
            return true;
        }

        Floatx80 destination = X87Unit.Get(s, 0);
        bool denormal = context.Flags != 0;
        context.Flags = 0;
        Floatx80 result = TOperation.Apply(destination, source, ref context);
        if (denormal) RaiseSourceDenormal(destination, ref context);
        if (X87Unit.Settle(s, ref context)) X87Unit.Set(s, 0, result);
        return true;
    }

    /// <summary>
    /// A memory operand was denormal, which its 80-bit form does not show. Invalid operations, divisions by zero and NaNs
    /// go first (Intel SDM 1 4.9.2).
    /// </summary>
    public static void RaiseSourceDenormal(Floatx80 other, ref FloatContext context)
    {
        if ((context.Flags & (FloatExceptions.Invalid | FloatExceptions.ZeroDivide)) == 0 && other.Class < FloatClass.QuietNan)
        {
            context.Raise(FloatExceptions.Denormal);
        }
    }

    /// <summary>FSQRT.</summary>
    public static bool SquareRoot(Processor processor, VcpuState* s, Operation* op)
    {
        if (!TryTop(s, op)) return true;
        FloatContext context = FloatContext.FromX87(s->X87Control);
        Floatx80 result = Floatx80Math.SquareRoot(X87Unit.Get(s, 0), ref context);
        if (X87Unit.Settle(s, ref context)) X87Unit.Set(s, 0, result);
        return true;
    }

    /// <summary>FRNDINT.</summary>
    public static bool RoundToInteger(Processor processor, VcpuState* s, Operation* op)
    {
        if (!TryTop(s, op)) return true;
        FloatContext context = FloatContext.FromX87(s->X87Control);
        Floatx80 result = Floatx80Math.RoundToIntegral(X87Unit.Get(s, 0), ref context);
        if (X87Unit.Settle(s, ref context)) X87Unit.Set(s, 0, result);
        return true;
    }

    /// <summary>FABS.</summary>
    public static bool Absolute(Processor processor, VcpuState* s, Operation* op)
    {
        if (!TryTop(s, op)) return true;
        X87Unit.SetCodes(s, X87Unit.C1, 0);
        X87Unit.Set(s, 0, X87Unit.Get(s, 0).WithSign(false));
        return true;
    }

    /// <summary>FCHS.</summary>
    public static bool ChangeSign(Processor processor, VcpuState* s, Operation* op)
    {
        if (!TryTop(s, op)) return true;
        X87Unit.SetCodes(s, X87Unit.C1, 0);
        X87Unit.Set(s, 0, X87Unit.Get(s, 0).Negated);
        return true;
    }

    /// <summary>FSCALE.</summary>
    public static bool Scale(Processor processor, VcpuState* s, Operation* op)
    {
        if (!TryTopTwo(s, op)) return true;
        FloatContext context = FloatContext.FromX87(s->X87Control);
        Floatx80 result = Floatx80Math.Scale(X87Unit.Get(s, 0), X87Unit.Get(s, 1), ref context);
        if (X87Unit.Settle(s, ref context)) X87Unit.Set(s, 0, result);
        return true;
    }

    /// <summary>FXTRACT: the exponent replaces ST(0), the significand is pushed.</summary>
    public static bool Extract(Processor processor, VcpuState* s, Operation* op)
    {
        X87Unit.Note(s, op);
        if (!TryOneToTwo(s)) return true;
        FloatContext context = FloatContext.FromX87(s->X87Control);
        Floatx80 significand = Floatx80Math.Extract(X87Unit.Get(s, 0), ref context, out Floatx80 exponent);
        if (!X87Unit.Settle(s, ref context)) return true;
        X87Unit.Set(s, 0, exponent);
        X87Unit.Push(s, significand);
        return true;
    }

    /// <summary>FPREM.</summary>
    public static bool Remainder(Processor processor, VcpuState* s, Operation* op) => Remainder(s, op, false);

    /// <summary>FPREM1.</summary>
    public static bool RemainderNearest(Processor processor, VcpuState* s, Operation* op) => Remainder(s, op, true);

    /// <summary>Notes the instruction; false if ST(0) is empty, the stack fault being dealt with.</summary>
    public static bool TryTop(VcpuState* s, Operation* op)
    {
        X87Unit.Note(s, op);
        if (!X87Unit.IsEmpty(s, 0)) return true;
        if (X87Unit.Underflow(s)) X87Unit.Set(s, 0, Floatx80.DefaultNan);
        return false;
    }

    /// <summary>As <see cref="TryTop"/>, for instructions that also read ST(1).</summary>
    public static bool TryTopTwo(VcpuState* s, Operation* op)
    {
        X87Unit.Note(s, op);
        if (!X87Unit.IsEmpty(s, 0) && !X87Unit.IsEmpty(s, 1)) return true;
        if (X87Unit.Underflow(s)) X87Unit.Set(s, 0, Floatx80.DefaultNan);
        return false;
    }

    /// <summary>For instructions that replace ST(0) by two values: false if it is empty or there is no room.</summary>
    public static bool TryOneToTwo(VcpuState* s)
    {
        bool empty = X87Unit.IsEmpty(s, 0);
        if (!empty && X87Unit.IsEmpty(s, -1)) return true;
        if (empty ? X87Unit.Underflow(s) : X87Unit.Overflow(s))
        {
            X87Unit.Set(s, 0, Floatx80.DefaultNan);
            X87Unit.Push(s, Floatx80.DefaultNan);
        }

        return false;
    }

    private static bool Remainder(VcpuState* s, Operation* op, bool nearest)
    {
        X87Unit.SetCodes(s, X87Unit.C2, 0);
        if (!TryTopTwo(s, op)) return true;
        FloatContext context = FloatContext.FromX87(s->X87Control);
        Floatx80 result = Floatx80Math.Remainder(X87Unit.Get(s, 0), X87Unit.Get(s, 1), nearest, ref context, out ulong quotient, out bool partial, out bool counted);
        if (!X87Unit.Settle(s, ref context)) return true;
        X87Unit.Set(s, 0, result);
        if (!counted) return true;
        X87Unit.SetCodes(s, X87Unit.C0 | X87Unit.C1 | X87Unit.C2 | X87Unit.C3, (partial ? X87Unit.C2 : 0)
            | ((quotient & 4) != 0 ? X87Unit.C0 : 0) | ((quotient & 2) != 0 ? X87Unit.C3 : 0) | ((quotient & 1) != 0 ? X87Unit.C1 : 0));
        return true;
    }

    private static bool Apply<TOperation>(VcpuState* s, Operation* op, int destination, int source, bool pop)
        where TOperation : struct, IX87Operation
    {
        X87Unit.Note(s, op);
        if (X87Unit.IsEmpty(s, destination) || X87Unit.IsEmpty(s, source))
        {
            if (!X87Unit.Underflow(s)) return true;
            X87Unit.Set(s, destination, Floatx80.DefaultNan);
        }
        else
        {
            FloatContext context = FloatContext.FromX87(s->X87Control);
            Floatx80 result = TOperation.Apply(X87Unit.Get(s, destination), X87Unit.Get(s, source), ref context);
            if (!X87Unit.Settle(s, ref context)) return true;
            X87Unit.Set(s, destination, result);
        }

        if (pop) X87Unit.Pop(s);
        return true;
    }
}
