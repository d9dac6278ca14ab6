using Iced.Intel;
using Ringfence.Processors.Instructions;
using static Ringfence.Virtualizability.Model.ModelLayout;

namespace Ringfence.Virtualizability.Model;

/// <summary>
/// Makes encodings of a code with fixed operands: memory at [RSI], general registers RBX (the operand that could be memory) and RDX,
/// immediates 1, branches a few bytes forward, absolute addresses in the data page.
/// </summary>
/// <param name="mode">The mode they are executed in.</param>
internal sealed class FormEncoder(AnalysisMode mode)
{
    private const int LongestEncoding = 24;
    private const byte Rbx = 3, Rdx = 2;
    private const byte BranchDistance = 0x10;

    /// <summary>Size of the code in bits.</summary>
    public int Bits { get; } = mode switch { AnalysisMode.Long => 64, AnalysisMode.Protected => 32, _ => 16 };

    /// <summary>Does the code have an operand that a ModRM byte names?</summary>
    public static bool HasModRm(OpCodeInfo info) => info.IsGroup || info.IsRmGroup || Kinds(info).Any(IsModRm);

    /// <summary>Is there an operand that is a segment, control or debug register named by ModRM?</summary>
    public static bool HasSystemRegister(OpCodeInfo info) =>
        Kinds(info).Any(k => k is OpCodeOperandKind.seg_reg or OpCodeOperandKind.cr_reg or OpCodeOperandKind.dr_reg);

    /// <summary>Encodes a code. Null: not like this.</summary>
    /// <param name="code">The code.</param>
    /// <param name="memory">With a memory operand, if it has a ModRM byte.</param>
    /// <param name="register">Number of the register in ModRM's reg field, where that is free; above 7 in 64-bit mode only.</param>
    public byte[]? TryEncode(Code code, bool memory, int register = Rdx)
    {
        OpCodeInfo info = code.ToOpCode();
        byte[] bytes = Encode(info, memory, register);
        Decoder decoder = NewDecoder(bytes);
        decoder.Decode(out Instruction instruction);
        if (instruction.Code != code || instruction.IsInvalid) return null;
        Array.Resize(ref bytes, instruction.Length);
        ConstantOffsets constants = decoder.GetConstantOffsets(instruction);
        if (constants.HasDisplacement && IsAbsolute(instruction)) PutAddress(bytes, constants);
        if (instruction.OpCount > 0 && instruction.Op0Kind is OpKind.NearBranch16 or OpKind.NearBranch32 or OpKind.NearBranch64)
        {
            bytes.AsSpan(constants.ImmediateOffset, constants.ImmediateSize).Clear();
            bytes[constants.ImmediateOffset] = BranchDistance;
        }

        return Decode(bytes).Code == code ? bytes : null;
    }

    /// <summary>Decodes bytes as the processor does, at the experiment's offset.</summary>
    public Instruction Decode(byte[] bytes)
    {
        NewDecoder(bytes).Decode(out Instruction instruction);
        return instruction;
    }

    /// <summary>The bytes with another immediate.</summary>
    public byte[] WithImmediate(byte[] bytes, ReadOnlySpan<byte> immediate)
    {
        Decoder decoder = NewDecoder(bytes);
        decoder.Decode(out Instruction instruction);
        byte[] changed = [.. bytes];
        immediate.CopyTo(changed.AsSpan(decoder.GetConstantOffsets(instruction).ImmediateOffset));
        return changed;
    }

    private static IEnumerable<OpCodeOperandKind> Kinds(OpCodeInfo info) => Enumerable.Range(0, info.OpCount).Select(info.GetOpKind);

    private static bool IsModRm(OpCodeOperandKind kind)
    {
        if (kind is OpCodeOperandKind.mem_offs) return false;
        string name = kind.ToString();
        return name.StartsWith("mem", StringComparison.Ordinal) || name.Contains("_reg", StringComparison.Ordinal)
            || name.Contains("_rm", StringComparison.Ordinal) || name.Contains("_or_mem", StringComparison.Ordinal);
    }

    private static bool IsAbsolute(in Instruction instruction) =>
        instruction.MemoryBase == Iced.Intel.Register.None && instruction.MemoryIndex == Iced.Intel.Register.None;

    private Decoder NewDecoder(byte[] bytes) => Decoder.Create(Bits, new ByteArrayCodeReader(bytes), CodeOffset, OperationDecoder.Options);

    private void PutAddress(byte[] bytes, ConstantOffsets constants)
    {
        ulong address = Bits == 16 ? DataOffset : DataPage + DataOffset;
        Span<byte> field = bytes.AsSpan(constants.DisplacementOffset, constants.DisplacementSize);
        for (int i = 0; i < field.Length; i++) field[i] = (byte)(address >> (i * 8));
    }

    private byte[] Encode(OpCodeInfo info, bool memory, int register)
    {
        List<byte> bytes = [];
        bool quadword = info.W == 1 || (info.OperandSize == 64 && !info.DefaultOpSize64 && !info.ForceOpSize64);
        if ((info.OperandSize == 16 && Bits != 16) || (info.OperandSize == 32 && Bits == 16)) bytes.Add(0x66);
        if (info.AddressSize != 0 && info.AddressSize != Bits) bytes.Add(0x67);
        switch (info.MandatoryPrefix)
        {
            case MandatoryPrefix.P66: bytes.Add(0x66); break;
            case MandatoryPrefix.PF3: bytes.Add(0xf3); break;
            case MandatoryPrefix.PF2: bytes.Add(0xf2); break;
        }

        if (Bits == 64 && (quadword || register > 7)) bytes.Add((byte)(0x40 | (quadword ? 8 : 0) | (register > 7 ? 4 : 0)));
        switch (info.Table)
        {
            case OpCodeTableKind.T0F: bytes.Add(0x0f); break;
            case OpCodeTableKind.T0F38: bytes.AddRange([0x0f, 0x38]); break;
            case OpCodeTableKind.T0F3A: bytes.AddRange([0x0f, 0x3a]); break;
        }

        uint opcode = info.OpCode;
        if (Kinds(info).Any(k => k is OpCodeOperandKind.r8_opcode or OpCodeOperandKind.r16_opcode or OpCodeOperandKind.r32_opcode
            or OpCodeOperandKind.r64_opcode)) opcode |= Rbx;
        if (Kinds(info).Contains(OpCodeOperandKind.sti_opcode)) opcode |= 1;
        if (info.OpCodeLength == 2) bytes.Add((byte)(opcode >> 8));
        bytes.Add((byte)opcode);
        if (HasModRm(info)) bytes.Add(ModRm(info, memory, register));
        bytes.Add(1);
        while (bytes.Count < LongestEncoding) bytes.Add(0);
        return [.. bytes];
    }

    /// <summary>[RSI] is r/m 6; with 16-bit addresses [SI] is r/m 4.</summary>
    private byte ModRm(OpCodeInfo info, bool memory, int register)
    {
        bool narrow = Bits == 16 ? info.AddressSize is 0 or 16 : info.AddressSize == 16;
        int rm = memory ? (narrow ? 4 : 6) : 0xc0 | Rbx;
        if (info.IsGroup) register = info.GroupIndex;
        if (info.IsRmGroup) rm = 0xc0 | info.RmGroupIndex;
        return (byte)(rm | ((register & 7) << 3));
    }
}
