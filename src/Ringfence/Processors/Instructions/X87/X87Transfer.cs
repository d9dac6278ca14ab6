using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.X87;

/// <summary>Loads, stores and exchanges (Intel SDM 1 8.3.3).</summary>
/// <typeparam name="TAddressing">The addressing of the code.</typeparam>
internal static unsafe class X87Transfer<TAddressing>
    where TAddressing : struct, IAddressing
{
    /// <summary>FLD m32.</summary>
    public static bool Load32(Processor processor, VcpuState* s, Operation* op)
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out uint bits)) return false;
        FloatContext context = FloatContext.FromX87(s->X87Control);
        Push(s, op, Floatx80Math.FromBinary32(bits, ref context), ref context);
        return true;
    }

    /// <summary>FLD m64.</summary>
    public static bool Load64(Processor processor, VcpuState* s, Operation* op)
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out ulong bits)) return false;
        FloatContext context = FloatContext.FromX87(s->X87Control);
        Push(s, op, Floatx80Math.FromBinary64(bits, ref context), ref context);
        return true;
    }

    /// <summary>FLD m80: no exception but a stack fault.</summary>
    public static bool Load80(Processor processor, VcpuState* s, Operation* op)
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out Memory80 memory)) return false;
        FloatContext context = default;
        Push(s, op, new Floatx80(memory.High, memory.Low), ref context);
        return true;
    }

    /// <summary>FBLD.</summary>
    public static bool LoadBcd(Processor processor, VcpuState* s, Operation* op)
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out Memory80 memory)) return false;
        FloatContext context = default;
        Push(s, op, Floatx80Math.FromBcd(memory.Low, memory.High), ref context);
        return true;
    }

    /// <summary>FILD m16.</summary>
    public static bool LoadInteger16(Processor processor, VcpuState* s, Operation* op)
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out short value)) return false;
        return PushInteger(s, op, value);
    }

    /// <summary>FILD m32.</summary>
    public static bool LoadInteger32(Processor processor, VcpuState* s, Operation* op)
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out int value)) return false;
        return PushInteger(s, op, value);
    }

    /// <summary>FILD m64.</summary>
    public static bool LoadInteger64(Processor processor, VcpuState* s, Operation* op)
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out long value)) return false;
        return PushInteger(s, op, value);
    }

    /// <summary>FST m32.</summary>
    public static bool Store32(Processor processor, VcpuState* s, Operation* op) => StoreReal32(processor, s, op, false);

    /// <summary>FSTP m32.</summary>
    public static bool Store32AndPop(Processor processor, VcpuState* s, Operation* op) => StoreReal32(processor, s, op, true);

    /// <summary>FST m64.</summary>
    public static bool Store64(Processor processor, VcpuState* s, Operation* op) => StoreReal64(processor, s, op, false);

    /// <summary>FSTP m64.</summary>
    public static bool Store64AndPop(Processor processor, VcpuState* s, Operation* op) => StoreReal64(processor, s, op, true);

    /// <summary>FSTP m80: no exception but a stack fault.</summary>
    public static bool Store80AndPop(Processor processor, VcpuState* s, Operation* op)
    {
        FloatContext context = FloatContext.FromX87(s->X87Control);
        bool store = BeginStore(s, ref context);
        Floatx80 value = store && context.Flags == 0 ? X87Unit.Get(s, 0) : Floatx80.DefaultNan;
        return TryStore(processor, s, op, new Memory80(value.Significand, value.SignExponent), ref context, store, true);
    }

    /// <summary>FBSTP.</summary>
    public static bool StoreBcdAndPop(Processor processor, VcpuState* s, Operation* op)
    {
        FloatContext context = FloatContext.FromX87(s->X87Control);
        if (!BeginStore(s, ref context)) return TryStore(processor, s, op, default(Memory80), ref context, false, true);
        ulong low = Floatx80Math.ToBcd(context.Flags == 0 ? X87Unit.Get(s, 0) : Floatx80.DefaultNan, ref context, out ushort high);
        return TryStore(processor, s, op, new Memory80(low, high), ref context, CanStore(ref context), true);
    }

    /// <summary>FIST m16.</summary>
    public static bool StoreInteger16(Processor processor, VcpuState* s, Operation* op) => StoreInteger<short>(processor, s, op, false, false);

    /// <summary>FISTP m16.</summary>
    public static bool StoreInteger16AndPop(Processor processor, VcpuState* s, Operation* op) => StoreInteger<short>(processor, s, op, true, false);

    /// <summary>FISTTP m16.</summary>
    public static bool StoreChopped16AndPop(Processor processor, VcpuState* s, Operation* op) => StoreInteger<short>(processor, s, op, true, true);

    /// <summary>FIST m32.</summary>
    public static bool StoreInteger32(Processor processor, VcpuState* s, Operation* op) => StoreInteger<int>(processor, s, op, false, false);

    /// <summary>FISTP m32.</summary>
    public static bool StoreInteger32AndPop(Processor processor, VcpuState* s, Operation* op) => StoreInteger<int>(processor, s, op, true, false);

    /// <summary>FISTTP m32.</summary>
    public static bool StoreChopped32AndPop(Processor processor, VcpuState* s, Operation* op) => StoreInteger<int>(processor, s, op, true, true);

    /// <summary>FISTP m64.</summary>
    public static bool StoreInteger64AndPop(Processor processor, VcpuState* s, Operation* op) => StoreInteger<long>(processor, s, op, true, false);

    /// <summary>FISTTP m64.</summary>
    public static bool StoreChopped64AndPop(Processor processor, VcpuState* s, Operation* op) => StoreInteger<long>(processor, s, op, true, true);

    private static bool PushInteger(VcpuState* s, Operation* op, long value)
    {
        FloatContext context = default;
        Push(s, op, Floatx80.FromInteger(value), ref context);
        return true;
    }

    private static void Push(VcpuState* s, Operation* op, Floatx80 value, ref FloatContext context)
    {
        X87Unit.NoteMemory(s, op, Operand<TAddressing>.EffectiveAddress(s, op));
        X87Registers.PushChecked(s, value, ref context);
    }

    private static bool StoreReal32(Processor processor, VcpuState* s, Operation* op, bool pop)
    {
        FloatContext context = FloatContext.FromX87(s->X87Control);
        if (!BeginStore(s, ref context)) return TryStore(processor, s, op, default(uint), ref context, false, pop);
        uint bits = context.Flags == 0 ? Floatx80Math.ToBinary32(X87Unit.Get(s, 0), ref context) : SoftFloat.DefaultNan<uint>();
        return TryStore(processor, s, op, bits, ref context, CanStore(ref context), pop);
    }

    private static bool StoreReal64(Processor processor, VcpuState* s, Operation* op, bool pop)
    {
        FloatContext context = FloatContext.FromX87(s->X87Control);
        if (!BeginStore(s, ref context)) return TryStore(processor, s, op, default(ulong), ref context, false, pop);
        ulong bits = context.Flags == 0 ? Floatx80Math.ToBinary64(X87Unit.Get(s, 0), ref context) : SoftFloat.DefaultNan<ulong>();
        return TryStore(processor, s, op, bits, ref context, CanStore(ref context), pop);
    }

    private static bool StoreInteger<T>(Processor processor, VcpuState* s, Operation* op, bool pop, bool chop)
        where T : unmanaged, System.Numerics.IBinaryInteger<T>
    {
        FloatContext context = FloatContext.FromX87(s->X87Control);
        if (chop) context.Rounding = FloatRounding.Zero;
        if (!BeginStore(s, ref context)) return TryStore(processor, s, op, default(T), ref context, false, pop);
        Floatx80 value = context.Flags == 0 ? X87Unit.Get(s, 0) : Floatx80.DefaultNan;
        T integer = T.CreateTruncating(Floatx80Math.ToInteger(value, sizeof(T) * 8, ref context));
        return TryStore(processor, s, op, integer, ref context, CanStore(ref context), pop);
    }

    /// <summary>Looks whether ST(0) is empty: IE and SF then stand in the context's flags. False: not masked, nothing is stored.</summary>
    private static bool BeginStore(VcpuState* s, ref FloatContext context)
    {
        if (!X87Unit.IsEmpty(s, 0)) return true;
        context.Raise(FloatExceptions.Invalid | X87Unit.StackFault);
        return CanStore(ref context);
    }

    /// <summary>Exceptions that are not masked, but PE, keep memory and the stack as they were (Intel SDM 1 8.5.4, 8.5.5).</summary>
    private static bool CanStore(ref FloatContext context) =>
        (context.Flags & ~context.Masks & FloatExceptions.All & ~FloatExceptions.Precision) == 0;

    /// <summary>
    /// Stores, and records what happened once nothing can fault any more. Faults of the operand come before exceptions of the
    /// arithmetic: they are raised even if nothing is stored.
    /// </summary>
    private static bool TryStore<T>(Processor processor, VcpuState* s, Operation* op, T value, ref FloatContext context, bool stored, bool pop)
        where T : unmanaged
    {
        bool ok = stored
            ? Operand<TAddressing>.TryWrite(processor, s, op, value)
            : processor.Mmu.TryProbe(op->Segment, Operand<TAddressing>.EffectiveAddress(s, op), sizeof(T), write: true);
        if (!ok) return false;
        X87Unit.NoteMemory(s, op, Operand<TAddressing>.EffectiveAddress(s, op));
        if (!stored)
        {
            context.Flags &= ~FloatExceptions.Precision;
            context.RoundedUp = false;
        }

        int stackFault = context.Flags & X87Unit.StackFault;
        context.Flags &= FloatExceptions.All;
        X87Unit.Settle(s, ref context);
        s->X87Status |= (ushort)stackFault;
        if (stored && pop) X87Unit.Pop(s);
        return true;
    }
}
