using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Tests.FloatingPoint;

/// <summary>Arithmetic against the operators of float and double on any host, and what the manual says of NaNs and flags.</summary>
public sealed class SoftFloatTests
{
    private const int Cases = 100_000;

    private const int Invalid = FloatExceptions.Invalid, Denormal = FloatExceptions.Denormal, Zero = FloatExceptions.ZeroDivide,
        Over = FloatExceptions.Overflow, Under = FloatExceptions.Underflow, Inexact = FloatExceptions.Precision;

    [Fact]
    public void Double_results_rounded_to_nearest_equal_the_operators()
    {
        var random = new Random(1);
        for (int i = 0; i < Cases; i++)
        {
            ulong a = FloatSamples.Next<ulong>(random), b = FloatSamples.Next<ulong>(random);
            FloatContext context = FloatContext.FromMxcsr(0x1f80);
            double x = BitConverter.UInt64BitsToDouble(a), y = BitConverter.UInt64BitsToDouble(b);
            Same(x + y, SoftFloat.Add(a, b, ref context));
            Same(x - y, SoftFloat.Subtract(a, b, ref context));
            Same(x * y, SoftFloat.Multiply(a, b, ref context));
            Same(x / y, SoftFloat.Divide(a, b, ref context));
            Same(Math.Sqrt(x), SoftFloat.SquareRoot(a, ref context));
            SoftFloat.Compare(a, b, false, ref context).ShouldBe(
                x < y ? FloatRelation.Less : x > y ? FloatRelation.Greater : x == y ? FloatRelation.Equal : FloatRelation.Unordered);
            float narrow = (float)x;
            if (!float.IsNaN(narrow)) SoftFloat.Narrow(a, ref context).ShouldBe(BitConverter.SingleToUInt32Bits(narrow));
        }
    }

    [Fact]
    public void Single_results_rounded_to_nearest_equal_the_operators()
    {
        var random = new Random(2);
        for (int i = 0; i < Cases; i++)
        {
            uint a = FloatSamples.Next<uint>(random), b = FloatSamples.Next<uint>(random);
            FloatContext context = FloatContext.FromMxcsr(0x1f80);
            float x = BitConverter.UInt32BitsToSingle(a), y = BitConverter.UInt32BitsToSingle(b);
            Same(x + y, SoftFloat.Add(a, b, ref context));
            Same(x - y, SoftFloat.Subtract(a, b, ref context));
            Same(x * y, SoftFloat.Multiply(a, b, ref context));
            Same(x / y, SoftFloat.Divide(a, b, ref context));
            Same(MathF.Sqrt(x), SoftFloat.SquareRoot(a, ref context));
            if (!float.IsNaN(x)) SoftFloat.Widen(a, ref context).ShouldBe(BitConverter.DoubleToUInt64Bits(x));
        }
    }

    [Theory]
    [InlineData(0x3f80_0000u, 0x3f80_0000u, 0x4000_0000u, 0)]
    [InlineData(0x3f80_0000u, 0x3380_0000u, 0x3f80_0000u, Inexact)]
    [InlineData(0x7f7f_ffffu, 0x7f7f_ffffu, 0x7f80_0000u, Over | Inexact)]
    [InlineData(0x7f80_0000u, 0xff80_0000u, 0xffc0_0000u, Invalid)]
    [InlineData(0x0000_0001u, 0x3f80_0000u, 0x3f80_0000u, Denormal | Inexact)]
    [InlineData(0x0000_0001u, 0x0000_0001u, 0x0000_0002u, Denormal)]
    [InlineData(0x7fa0_0000u, 0x7fc0_0001u, 0x7fe0_0000u, Invalid)]
    [InlineData(0x7fc0_0001u, 0x7fa0_0000u, 0x7fc0_0001u, Invalid)]
    [InlineData(0x7fc0_0001u, 0x0000_0001u, 0x7fc0_0001u, 0)]
    public void Addition_raises_what_the_manual_says(uint a, uint b, uint result, int flags)
    {
        FloatContext context = FloatContext.FromMxcsr(0x1f80);
        SoftFloat.Add(a, b, ref context).ShouldBe(result);
        context.Flags.ShouldBe(flags);
    }

    [Fact]
    public void Division_of_a_finite_number_by_zero_is_an_infinity_and_zero_by_zero_is_invalid()
    {
        FloatContext context = FloatContext.FromMxcsr(0x1f80);
        SoftFloat.Divide(0xbf80_0000u, 0u, ref context).ShouldBe(0xff80_0000u);
        context.Flags.ShouldBe(Zero);
        SoftFloat.Divide(0u, 0u, ref context).ShouldBe(0xffc0_0000u);
        context.Flags.ShouldBe(Zero | Invalid);
    }

    [Fact]
    public void An_exact_tiny_result_raises_underflow_only_if_underflow_is_not_masked()
    {
        FloatContext masked = FloatContext.FromMxcsr(0x1f80);
        SoftFloat.Multiply(0x0080_0000u, 0x3f00_0000u, ref masked).ShouldBe(0x0040_0000u);
        masked.Flags.ShouldBe(0);
        FloatContext unmasked = FloatContext.FromMxcsr(0x1f80 & ~0x800u);
        SoftFloat.Multiply(0x0080_0000u, 0x3f00_0000u, ref unmasked);
        unmasked.Unmasked.ShouldBe(Under);
    }

    [Fact]
    public void Flush_to_zero_replaces_a_tiny_result_and_raises_underflow_and_precision()
    {
        FloatContext context = FloatContext.FromMxcsr(0x1f80 | 0x8000);
        SoftFloat.Multiply(0x8080_0000u, 0x3f00_0000u, ref context).ShouldBe(0x8000_0000u);
        context.Flags.ShouldBe(Under | Inexact);
    }

    [Fact]
    public void An_unmasked_invalid_operation_keeps_later_exceptions_of_other_elements_from_being_reported()
    {
        FloatContext context = FloatContext.FromMxcsr(0x1f80 & ~0x80u);
        SoftFloat.Add(0x7f7f_ffffu, 0x7f7f_ffffu, ref context);
        SoftFloat.Add(0x7f80_0000u, 0xff80_0000u, ref context);
        context.Reported.ShouldBe(Invalid);
    }

    private static void Same(double expected, ulong actual)
    {
        if (double.IsNaN(expected)) SoftFloat.IsNan(actual).ShouldBeTrue();
        else if (actual != BitConverter.DoubleToUInt64Bits(expected)) actual.ShouldBe(BitConverter.DoubleToUInt64Bits(expected));
    }

    private static void Same(float expected, uint actual)
    {
        if (float.IsNaN(expected)) SoftFloat.IsNan(actual).ShouldBeTrue();
        else if (actual != BitConverter.SingleToUInt32Bits(expected)) actual.ShouldBe(BitConverter.SingleToUInt32Bits(expected));
    }
}
