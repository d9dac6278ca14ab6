using Ringfence.Host;
using Ringfence.Processors.Instructions;

namespace Ringfence.Execution.Translation;

/// <summary>Decoded instructions for call-outs: an operation and its sentinel each.</summary>
internal sealed unsafe class OperationPool : IDisposable
{
    private const int Capacity = 192 << 10;
    private const int EntryBytes = 2 * Operation.SizeInBytes;

    private readonly byte* _memory = NativeMemoryMap.Allocate(Capacity * EntryBytes);
    private int _next = 1;

    /// <summary>Is there room for the call-outs of one more run?</summary>
    public bool HasRoom => _next < Capacity / 2;

    /// <summary>The operation with a number.</summary>
    public Operation* this[int index] => (Operation*)(_memory + ((nint)index * EntryBytes));

    /// <summary>Takes a free entry; its number is returned.</summary>
    public int Next(out Operation* operation)
    {
        operation = this[_next];
        return _next++;
    }

    /// <summary>Forgets everything.</summary>
    public void Clear() => _next = 1;

    /// <inheritdoc/>
    public void Dispose() => NativeMemoryMap.Unmap(_memory, Capacity * EntryBytes);
}
