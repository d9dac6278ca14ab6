using Iced.Intel;
using Ringfence.Processors.Instructions;
using Ringfence.Processors.Instructions.Integer;

namespace Ringfence.Execution;

/// <summary>Decodes single instructions into operations that run by themselves: one operation and a sentinel that leaves behind it.</summary>
internal sealed unsafe class SingleDecoder
{
    private readonly CodeBytes _bytes = new();
    private readonly Decoder[] _decoders;

    public SingleDecoder()
    {
        _decoders =
        [
            Decoder.Create(16, _bytes, OperationDecoder.Options),
            Decoder.Create(32, _bytes, OperationDecoder.Options),
            Decoder.Create(64, _bytes, OperationDecoder.Options),
        ];
    }

    /// <summary>Decodes one instruction into <paramref name="op"/> and a sentinel behind it.</summary>
    /// <returns>False if the bytes end before the instruction does.</returns>
    public bool TryDecode(byte* bytes, int length, int pageOffset, int kind, Operation* op)
    {
        _bytes.Set(bytes, length);
        Decoder decoder = _decoders[kind];
        decoder.IP = (ulong)pageOffset;
        decoder.Decode(out Instruction instruction);
        if (decoder.LastError == DecoderError.NoMoreBytes) return false;
        OperationDecoder.Decode(instruction, op, pageOffset, kind == 2, 1);
        op->Flags |= OperationFlags.SingleStep;
        SetSentinel(op + 1, pageOffset + op->Length, 2);
        op[1].Flags |= OperationFlags.SingleStep;
        return true;
    }

    /// <summary>Makes an operation that ends a block without a transfer; <paramref name="count"/> is one more than the instructions before it.</summary>
    public static void SetSentinel(Operation* op, int pageOffset, int count)
    {
        *op = default;
        op->Execute = &ControlTransferInstructions.EndOfBlock;
        op->PageOffset = (ushort)pageOffset;
        op->Count = (ushort)count;
    }
}
