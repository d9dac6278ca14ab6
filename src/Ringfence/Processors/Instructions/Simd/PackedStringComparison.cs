namespace Ringfence.Processors.Instructions.Simd;

/// <summary>
/// What PCMPxSTRx computes (Intel SDM 1 12.10, 2B "Imm8 control byte operation"), element by element.
/// </summary>
internal unsafe struct PackedStringComparison
{
    private readonly byte* _a;
    private readonly byte* _b;
    private readonly int _control;
    private readonly int _lengthA;
    private readonly int _lengthB;

    /// <summary>A comparison with lengths in elements, which are cut to what a register holds.</summary>
    public PackedStringComparison(byte* a, byte* b, int control, ulong lengthA, ulong lengthB)
    {
        _a = a;
        _b = b;
        _control = control;
        _lengthA = (int)Math.Min(lengthA, (ulong)CountOf(control));
        _lengthB = (int)Math.Min(lengthB, (ulong)CountOf(control));
    }

    /// <summary>Elements a register holds.</summary>
    public readonly int Count => CountOf(_control);

    /// <summary>Is the second operand's string shorter than a register (ZF)?</summary>
    public readonly bool EndsInB => _lengthB < Count;

    /// <summary>Is the first operand's string shorter than a register (SF)?</summary>
    public readonly bool EndsInA => _lengthA < Count;

    /// <summary>Elements before the first zero element (the implicit-length forms).</summary>
    public static ulong ImplicitLength(byte* operand, int control)
    {
        int count = CountOf(control);
        for (int i = 0; i < count; i++)
            if (ElementOf(operand, i, control) == 0) return (ulong)i;
        return (ulong)count;
    }

    /// <summary>IntRes2: a bit for each element of the second operand.</summary>
    public readonly uint Compute()
    {
        int count = Count;
        uint result = 0;
        for (int j = 0; j < count; j++)
        {
            bool match = ((_control >> 2) & 3) switch
            {
                0 => EqualsAny(j),
                1 => IsInRange(j),
                2 => EqualsEach(j),
                _ => EqualsOrdered(j),
            };
            if (match) result |= 1u << j;
        }

        uint all = (1u << count) - 1;
        return ((_control >> 4) & 3) switch
        {
            1 => result ^ all,
            3 => result ^ ((1u << _lengthB) - 1),
            _ => result,
        };
    }

    private readonly bool EqualsAny(int j)
    {
        if (j >= _lengthB) return false;
        for (int i = 0; i < _lengthA; i++)
            if (A(i) == B(j)) return true;
        return false;
    }

    /// <summary>A pair whose upper bound is past the end matches nothing.</summary>
    private readonly bool IsInRange(int j)
    {
        if (j >= _lengthB) return false;
        for (int i = 0; i + 1 < _lengthA; i += 2)
            if (B(j) >= A(i) && B(j) <= A(i + 1)) return true;
        return false;
    }

    private readonly bool EqualsEach(int j)
    {
        bool validA = j < _lengthA;
        bool validB = j < _lengthB;
        return validA && validB ? A(j) == B(j) : validA == validB;
    }

    private readonly bool EqualsOrdered(int j)
    {
        int count = Count;
        for (int i = 0; i < _lengthA && i + j < count; i++)
            if (i + j >= _lengthB || A(i) != B(i + j)) return false;
        return true;
    }

    private readonly int A(int index) => ElementOf(_a, index, _control);

    private readonly int B(int index) => ElementOf(_b, index, _control);

    private static int CountOf(int control) => (control & 1) != 0 ? 8 : 16;

    private static int ElementOf(byte* operand, int index, int control) => (control & 3) switch
    {
        0 => operand[index],
        1 => ((ushort*)operand)[index],
        2 => ((sbyte*)operand)[index],
        _ => ((short*)operand)[index],
    };
}
