using Ringfence.Processors.FloatingPoint;
using Ringfence.Tests.X87;

namespace Ringfence.Tests.FloatingPoint;

/// <summary>80-bit arithmetic on any host: known values, and properties over random operands.</summary>
public sealed class Floatx80Tests
{
    private static readonly Floatx80 One = Floatx80.One;

    [Fact]
    public void Transcendental_functions_of_one_and_a_half_are_right_to_the_last_place()
    {
        FloatContext context = FloatContext.FromX87(0x37f);
        Floatx80Math.TrySineCosine(One, ref context, true, true, out Floatx80 sine, out Floatx80 cosine).ShouldBeTrue();
        sine.ShouldBe(new(0x3ffe, 0xd76a_a478_4867_7021));
        cosine.ShouldBe(new(0x3ffe, 0x8a51_407d_a834_5c92));
        Floatx80Math.TryTangent(One, ref context, out Floatx80 tangent).ShouldBeTrue();
        tangent.ShouldBe(new(0x3fff, 0xc759_22e5_f71d_2dc5));
        Floatx80Math.Arctangent(One, One, ref context).ShouldBe(new(0x3ffe, 0xc90f_daa2_2168_c235));
        Floatx80Math.ExponentialMinusOne(new(0x3ffe, 1UL << 63), ref context).ShouldBe(new(0x3ffd, 0xd413_cccf_e779_9211));
        Floatx80Math.LogarithmTimes(One, Floatx80.FromInteger(8), ref context).ShouldBe(Floatx80.FromInteger(3));
    }

    [Fact]
    public void Logarithm_and_exponential_are_each_others_inverse()
    {
        var random = new Random(3);
        for (int i = 0; i < 2000; i++)
        {
            Floatx80 x = new(0x3ffe, (ulong)random.NextInt64() | 1UL << 63);
            FloatContext context = FloatContext.FromX87(0x37f);
            Floatx80 power = Floatx80Math.ExponentialMinusOne(x, ref context);
            Floatx80 back = Floatx80Math.LogarithmTimes(One, Floatx80Math.Add(power, One, ref context), ref context);
            long distance = (long)(back.Significand - x.Significand);
            back.SignExponent.ShouldBe(x.SignExponent);
            distance.ShouldBeInRange(-4, 4);
        }
    }

    [Fact]
    public void Arctangent_of_the_tangent_is_the_angle()
    {
        var random = new Random(4);
        for (int i = 0; i < 2000; i++)
        {
            Floatx80 x = new((ushort)(0x3ffe - random.Next(12)), (ulong)random.NextInt64() | 1UL << 63);
            FloatContext context = FloatContext.FromX87(0x37f);
            Floatx80Math.TryTangent(x, ref context, out Floatx80 tangent).ShouldBeTrue();
            Floatx80 back = Floatx80Math.Arctangent(tangent, One, ref context);
            Math.Abs((long)(back.Significand - x.Significand)).ShouldBeLessThanOrEqualTo(2, $"{x}");
        }
    }

    [Fact]
    public void A_quotient_times_its_divisor_comes_back_within_one_unit()
    {
        var random = new Random(5);
        for (int i = 0; i < 100_000; i++)
        {
            Floatx80 a = new(0x3fff, (ulong)random.NextInt64() | 1UL << 63), b = new(0x3fff, (ulong)random.NextInt64() | 1UL << 63);
            FloatContext context = FloatContext.FromX87(0x37f);
            Floatx80 back = Floatx80Math.Multiply(Floatx80Math.Divide(a, b, ref context), b, ref context);
            Math.Abs((long)(back.Significand - a.Significand)).ShouldBeLessThanOrEqualTo(1);
        }
    }

    [Fact]
    public void Every_integer_and_every_binary64_number_survives_the_way_through_80_bits()
    {
        var random = new Random(6);
        for (int i = 0; i < 100_000; i++)
        {
            FloatContext context = FloatContext.FromX87(0x37f);
            long integer = random.NextInt64(long.MinValue, long.MaxValue) >> random.Next(64);
            Floatx80Math.ToInteger(Floatx80.FromInteger(integer), 64, ref context).ShouldBe(integer);
            ulong number = FloatSamples.Next<ulong>(random);
            if (!SoftFloat.IsSignalingNan(number)) Floatx80Math.ToBinary64(Floatx80Math.FromBinary64(number, ref context), ref context).ShouldBe(number);
            (context.Flags & ~FloatExceptions.Denormal).ShouldBe(0);
        }
    }

    [Fact]
    public void Unsupported_encodings_are_invalid_operands_and_give_the_default_nan()
    {
        foreach (Floatx80 value in Floatx80Samples.Special)
        {
            if (value.Class != FloatClass.Unsupported) continue;
            FloatContext context = FloatContext.FromX87(0x37f);
            Floatx80Math.Add(value, One, ref context).ShouldBe(Floatx80.DefaultNan);
            context.Flags.ShouldBe(FloatExceptions.Invalid);
        }
    }

    [Fact]
    public void Unmasked_overflow_wraps_the_exponent_by_24576()
    {
        FloatContext context = FloatContext.FromX87(0x37f & ~FloatExceptions.Overflow);
        Floatx80 large = new(0x7ffe, 1UL << 63);
        Floatx80Math.Multiply(large, large, ref context).SignExponent.ShouldBe((ushort)(0x7ffe + 0x7ffe - 16383 - 24576));
        context.Flags.ShouldBe(FloatExceptions.Overflow);
    }
}
