using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.X87;

/// <summary>An arithmetic operation of two operands; the destination is the first.</summary>
internal interface IX87Operation
{
    /// <summary>The new value of the destination.</summary>
    static abstract Floatx80 Apply(Floatx80 destination, Floatx80 source, ref FloatContext context);
}

/// <summary>FADD.</summary>
internal readonly struct AddOperation : IX87Operation
{
    /// <inheritdoc/>
    public static Floatx80 Apply(Floatx80 destination, Floatx80 source, ref FloatContext context) =>
        Floatx80Math.Add(destination, source, ref context);
}

/// <summary>FMUL.</summary>
internal readonly struct MultiplyOperation : IX87Operation
{
    /// <inheritdoc/>
    public static Floatx80 Apply(Floatx80 destination, Floatx80 source, ref FloatContext context) =>
        Floatx80Math.Multiply(destination, source, ref context);
}

/// <summary>FSUB.</summary>
internal readonly struct SubtractOperation : IX87Operation
{
    /// <inheritdoc/>
    public static Floatx80 Apply(Floatx80 destination, Floatx80 source, ref FloatContext context) =>
        Floatx80Math.Subtract(destination, source, ref context);
}

/// <summary>FSUBR.</summary>
internal readonly struct SubtractReverseOperation : IX87Operation
{
    /// <inheritdoc/>
    public static Floatx80 Apply(Floatx80 destination, Floatx80 source, ref FloatContext context) =>
        Floatx80Math.Subtract(source, destination, ref context);
}

/// <summary>FDIV.</summary>
internal readonly struct DivideOperation : IX87Operation
{
    /// <inheritdoc/>
    public static Floatx80 Apply(Floatx80 destination, Floatx80 source, ref FloatContext context) =>
        Floatx80Math.Divide(destination, source, ref context);
}

/// <summary>FDIVR.</summary>
internal readonly struct DivideReverseOperation : IX87Operation
{
    /// <inheritdoc/>
    public static Floatx80 Apply(Floatx80 destination, Floatx80 source, ref FloatContext context) =>
        Floatx80Math.Divide(source, destination, ref context);
}
