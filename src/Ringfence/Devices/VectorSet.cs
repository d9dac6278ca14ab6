using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Ringfence.Devices;

/// <summary>A set of interrupt vectors: IRR, ISR or TMR.</summary>
[InlineArray(8)]
internal struct VectorSet
{
    private uint _first;

    /// <summary>Is a vector in the set?</summary>
    public readonly bool Contains(int vector) => (this[(vector >> 5) & 7] & (1u << (vector & 31))) != 0;

    /// <summary>Adds a vector.</summary>
    public void Add(int vector) => this[(vector >> 5) & 7] |= 1u << (vector & 31);

    /// <summary>Removes a vector.</summary>
    public void Remove(int vector) => this[(vector >> 5) & 7] &= ~(1u << (vector & 31));

    /// <summary>The highest vector, or -1.</summary>
    public readonly int Highest()
    {
        for (int i = 7; i >= 0; i--)
            if (this[i] != 0) return (i << 5) + BitOperations.Log2(this[i]);
        return -1;
    }

    /// <summary>Visits the set.</summary>
    public void DescribeState(IStateVisitor visitor, string name) =>
        visitor.Bytes(name, MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref _first, 8)));
}
