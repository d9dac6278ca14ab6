using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.X87;

/// <summary>Comparisons and classification (Intel SDM 1 8.3.6).</summary>
internal static unsafe class X87Compare
{
    private const int Codes = X87Unit.C0 | X87Unit.C2 | X87Unit.C3;

    /// <summary>FCOM ST(i).</summary>
    public static bool Ordered(Processor processor, VcpuState* s, Operation* op) => Compare(s, op, true, 0);

    /// <summary>FCOMP ST(i).</summary>
    public static bool OrderedAndPop(Processor processor, VcpuState* s, Operation* op) => Compare(s, op, true, 1);

    /// <summary>FCOMPP.</summary>
    public static bool OrderedAndPopTwo(Processor processor, VcpuState* s, Operation* op) => Compare(s, op, true, 2);

    /// <summary>FUCOM ST(i).</summary>
    public static bool Unordered(Processor processor, VcpuState* s, Operation* op) => Compare(s, op, false, 0);

    /// <summary>FUCOMP ST(i).</summary>
    public static bool UnorderedAndPop(Processor processor, VcpuState* s, Operation* op) => Compare(s, op, false, 1);

    /// <summary>FUCOMPP.</summary>
    public static bool UnorderedAndPopTwo(Processor processor, VcpuState* s, Operation* op) => Compare(s, op, false, 2);

    /// <summary>FCOMI.</summary>
    public static bool OrderedToFlags(Processor processor, VcpuState* s, Operation* op) => CompareToFlags(s, op, true, false);

    /// <summary>FCOMIP.</summary>
    public static bool OrderedToFlagsAndPop(Processor processor, VcpuState* s, Operation* op) => CompareToFlags(s, op, true, true);

    /// <summary>FUCOMI.</summary>
    public static bool UnorderedToFlags(Processor processor, VcpuState* s, Operation* op) => CompareToFlags(s, op, false, false);

    /// <summary>FUCOMIP.</summary>
    public static bool UnorderedToFlagsAndPop(Processor processor, VcpuState* s, Operation* op) => CompareToFlags(s, op, false, true);

    /// <summary>FCOM and FICOM with a memory operand.</summary>
    public static bool Memory<TSource, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TSource : struct, IX87Source
        where TAddressing : struct, IAddressing => CompareMemory<TSource, TAddressing>(processor, s, op, false);

    /// <summary>FCOMP and FICOMP with a memory operand.</summary>
    public static bool MemoryAndPop<TSource, TAddressing>(Processor processor, VcpuState* s, Operation* op)
        where TSource : struct, IX87Source
        where TAddressing : struct, IAddressing => CompareMemory<TSource, TAddressing>(processor, s, op, true);

    /// <summary>FTST.</summary>
    public static bool Test(Processor processor, VcpuState* s, Operation* op)
    {
        X87Unit.Note(s, op);
        if (X87Unit.IsEmpty(s, 0))
        {
            Underflow(s, 0);
            return true;
        }

        FloatContext context = FloatContext.FromX87(s->X87Control);
        Record(s, ref context, Floatx80Math.Compare(X87Unit.Get(s, 0), default, true, ref context), 0);
        return true;
    }

    /// <summary>FXAM.</summary>
    public static bool Examine(Processor processor, VcpuState* s, Operation* op)
    {
        X87Unit.Note(s, op);
        Floatx80 value = X87Unit.Get(s, 0);
        int codes = X87Unit.IsEmpty(s, 0) ? X87Unit.C3 | X87Unit.C0 : value.Class switch
        {
            FloatClass.Normal => X87Unit.C2,
            FloatClass.Zero => X87Unit.C3,
            FloatClass.Denormal => X87Unit.C3 | X87Unit.C2,
            FloatClass.Infinity => X87Unit.C2 | X87Unit.C0,
            FloatClass.Unsupported => 0,
            _ => X87Unit.C0,
        };
        X87Unit.SetCodes(s, Codes | X87Unit.C1, codes | (value.IsNegative ? X87Unit.C1 : 0));
        return true;
    }

    private static bool Compare(VcpuState* s, Operation* op, bool signaling, int pops)
    {
        X87Unit.Note(s, op);
        int i = X87Unit.Register(op);
        if (X87Unit.IsEmpty(s, 0) || X87Unit.IsEmpty(s, i))
        {
            Underflow(s, pops);
            return true;
        }

        FloatContext context = FloatContext.FromX87(s->X87Control);
        Record(s, ref context, Floatx80Math.Compare(X87Unit.Get(s, 0), X87Unit.Get(s, i), signaling, ref context), pops);
        return true;
    }

    private static bool CompareMemory<TSource, TAddressing>(Processor processor, VcpuState* s, Operation* op, bool pop)
        where TSource : struct, IX87Source
        where TAddressing : struct, IAddressing
    {
        FloatContext context = FloatContext.FromX87(s->X87Control);
        if (!TSource.TryRead<TAddressing>(processor, s, op, ref context, out Floatx80 source)) return false;
        X87Unit.NoteMemory(s, op, Operand<TAddressing>.EffectiveAddress(s, op));
        if (X87Unit.IsEmpty(s, 0))
        {
            Underflow(s, pop ? 1 : 0);
            return true;
        }

        bool denormal = context.Flags != 0;
        context.Flags = 0;
        Floatx80 top = X87Unit.Get(s, 0);
        FloatRelation relation = Floatx80Math.Compare(top, source, true, ref context);
        if (denormal) X87Arithmetic.RaiseSourceDenormal(top, ref context);
        Record(s, ref context, relation, pop ? 1 : 0);
        return true;
    }

    private static bool CompareToFlags(VcpuState* s, Operation* op, bool signaling, bool pop)
    {
        X87Unit.Note(s, op);
        int i = X87Unit.Register(op);
        FloatRelation relation;
        if (X87Unit.IsEmpty(s, 0) || X87Unit.IsEmpty(s, i))
        {
            pop &= X87Unit.Underflow(s);
            relation = FloatRelation.Unordered;
        }
        else
        {
            FloatContext context = FloatContext.FromX87(s->X87Control);
            relation = Floatx80Math.Compare(X87Unit.Get(s, 0), X87Unit.Get(s, i), signaling, ref context);
            pop &= X87Unit.Settle(s, ref context);
        }

        StatusFlags.Set(ref *s, relation switch
        {
            FloatRelation.Greater => 0,
            FloatRelation.Less => RflagsBits.Cf,
            FloatRelation.Equal => RflagsBits.Zf,
            _ => RflagsBits.Cf | RflagsBits.Pf | RflagsBits.Zf,
        });
        if (pop) X87Unit.Pop(s);
        return true;
    }

    private static void Underflow(VcpuState* s, int pops) => Finish(s, FloatRelation.Unordered, X87Unit.Underflow(s) ? pops : 0);

    private static void Record(VcpuState* s, ref FloatContext context, FloatRelation relation, int pops) =>
        Finish(s, relation, X87Unit.Settle(s, ref context) ? pops : 0);

    /// <summary>The condition codes are set whatever is masked; the stack is popped only if the exceptions are.</summary>
    private static void Finish(VcpuState* s, FloatRelation relation, int pops)
    {
        X87Unit.SetCodes(s, Codes, relation switch
        {
            FloatRelation.Greater => 0,
            FloatRelation.Less => X87Unit.C0,
            FloatRelation.Equal => X87Unit.C3,
            _ => Codes,
        });
        for (int n = 0; n < pops; n++) X87Unit.Pop(s);
    }
}
