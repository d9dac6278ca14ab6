using System.Buffers.Binary;

namespace Ringfence.Virtualizability.Model;

/// <summary>What the program's registers and memory hold before an instruction, and the instruction.</summary>
internal sealed record OperandState
{
    /// <summary>What is special about it.</summary>
    public required string Name { get; init; }

    /// <summary>The instruction.</summary>
    public required byte[] Bytes { get; init; }

    /// <summary>RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15; RSP, RBP, RSI, RDI and in most cases RBX are offsets into the program's pages.</summary>
    public required ulong[] General { get; init; }

    /// <summary>Status flags, DF, TF, NT, AC and ID.</summary>
    public ulong Flags { get; init; }

    /// <summary>The data page from <see cref="ModelLayout.DataOffset"/>.</summary>
    public byte[] Data { get; } = new byte[ModelLayout.DataBytes];

    /// <summary>The stack from RSP up.</summary>
    public byte[] Stack { get; } = new byte[ModelLayout.StackAbove];

    /// <summary>Sets a general register.</summary>
    public OperandState Set(int register, ulong value)
    {
        General[register] = value;
        return this;
    }

    /// <summary>Writes bytes of a number into the data.</summary>
    public OperandState PutData(int offset, ulong value, int size = 8) => Put(Data, offset, value, size);

    /// <summary>Writes bytes of a number onto the stack.</summary>
    public OperandState PutStack(int offset, ulong value, int size = 8) => Put(Stack, offset, value, size);

    private OperandState Put(byte[] bytes, int offset, ulong value, int size)
    {
        Span<byte> number = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(number, value);
        number[..size].CopyTo(bytes.AsSpan(offset));
        return this;
    }
}
