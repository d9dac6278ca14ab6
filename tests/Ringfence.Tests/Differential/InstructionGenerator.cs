using Iced.Intel;

namespace Ringfence.Tests.Differential;

/// <summary>
/// Makes random encodings of a code: the opcode Iced names, with random prefixes, ModRM, SIB, displacement and immediate bytes,
/// so that the decoder is tested with odd encodings too. Addresses that registers cannot steer are patched into the test's memory.
/// </summary>
internal sealed class InstructionGenerator(CaseRandom random, ulong mapBase, int bitness)
{
    private const int Attempts = 40;
    private const int ShortestBranch = 32;

    /// <summary>An encoding of <paramref name="code"/>, or null if none was found.</summary>
    public TestInstruction? TryCreate(Code code)
    {
        OpCodeInfo info = code.ToOpCode();
        for (int i = 0; i < Attempts; i++)
        {
            byte[] bytes = RandomEncoding(info);
            uint offset = random.OneIn(8) ? 0x1000 - (uint)random.Below(12) : 0x100 + (uint)random.Below(0x800);
            Instruction instruction = Decode(bytes, offset);
            if (instruction.Code != code) continue;
            Array.Resize(ref bytes, instruction.Length);
            if (!IsUsable(instruction) || VendorDifferences.IsExcluded(code, bytes)) continue;
            uint branchTarget = PatchAddresses(bytes, offset, ref instruction);
            if (instruction.Code != code) continue;
            return new TestInstruction(bytes, instruction, offset, branchTarget, bitness);
        }

        return null;
    }

    private bool IsUsable(in Instruction instruction)
    {
        // FS holds the runtime's thread data; 66h on near branches means different things to the vendors.
        if (instruction.SegmentPrefix is Register.FS or Register.GS) return false;
        if (instruction.MemorySegment is Register.FS or Register.GS && instruction.MemoryBase == Register.None && HasMemory(instruction)) return false;
        if (instruction.HasXacquirePrefix || instruction.HasXreleasePrefix) return true;

        // Only RSP and ESP address the stack as 16-bit base forms would leave the test's memory.
        return instruction.MemoryBase is not (Register.BX or Register.BP or Register.SI or Register.DI)
            && instruction.MemoryIndex is not (Register.SI or Register.DI);
    }

    private static bool HasMemory(in Instruction instruction)
    {
        for (int i = 0; i < instruction.OpCount; i++)
            if (instruction.GetOpKind(i) == OpKind.Memory) return true;
        return false;
    }

    private Instruction Decode(byte[] bytes, uint offset)
    {
        Decoder decoder = Decoder.Create(bitness, new ByteArrayCodeReader(bytes), mapBase + offset);
        decoder.Decode(out Instruction instruction);
        return instruction;
    }

    /// <summary>The opcode with random surroundings; not every one decodes to the code asked for.</summary>
    public byte[] RandomEncoding(OpCodeInfo info)
    {
        List<byte> bytes = [];
        bool branch = info.OpCount > 0 && info.Op0Kind is >= OpCodeOperandKind.br16_1 and <= OpCodeOperandKind.br64_4;
        bool wide = info.OperandSize == 64 && !info.DefaultOpSize64 && !info.ForceOpSize64;
        bool quadword = wide || info.W == 1;
        if (info.OperandSize == 16 && bitness != 16) bytes.Add(0x66);
        if (info.AddressSize != 0 && info.AddressSize != bitness) bytes.Add(0x67);
        else if (bitness == 64 && info.AddressSize == 0 && random.OneIn(16)) bytes.Add(0x67);
        if (random.OneIn(24)) bytes.Add(random.Pick<byte>([0x2e, 0x36, 0x3e, 0x26]));
        if (info.CanUseLockPrefix && random.OneIn(3)) bytes.Add(0xf0);
        if (info.CanUseRepPrefix && random.OneIn(2)) bytes.Add(0xf3);
        else if (info.CanUseRepnePrefix && random.OneIn(2)) bytes.Add(0xf2);
        else if (!branch && info.MandatoryPrefix == MandatoryPrefix.None && random.OneIn(32)) bytes.Add(random.Pick<byte>([0xf2, 0xf3]));
        switch (info.MandatoryPrefix)
        {
            case MandatoryPrefix.P66:
                bytes.Add(0x66);
                break;
            case MandatoryPrefix.PF3:
                bytes.Add(0xf3);
                break;
            case MandatoryPrefix.PF2:
                bytes.Add(0xf2);
                break;
            default:
                break;
        }

        if (bitness == 64)
        {
            if (quadword) bytes.Add((byte)(0x48 | random.Below(8)));
            else if (random.OneIn(2)) bytes.Add((byte)(0x40 | random.Below(random.OneIn(8) ? 16 : 8)));
        }

        switch (info.Table)
        {
            case OpCodeTableKind.T0F:
                bytes.Add(0x0f);
                break;
            case OpCodeTableKind.T0F38:
                bytes.AddRange([0x0f, 0x38]);
                break;
            case OpCodeTableKind.T0F3A:
                bytes.AddRange([0x0f, 0x3a]);
                break;
            default:
                break;
        }

        uint opcode = info.OpCode;
        bool inOpcode = Enumerable.Range(0, info.OpCount).Any(i => info.GetOpKind(i) is OpCodeOperandKind.r8_opcode or OpCodeOperandKind.r16_opcode
            or OpCodeOperandKind.r32_opcode or OpCodeOperandKind.r64_opcode or OpCodeOperandKind.sti_opcode);
        if (inOpcode) opcode |= (uint)random.Below(8);
        if (info.OpCodeLength == 2) bytes.Add((byte)(opcode >> 8));
        bytes.Add((byte)opcode);
        if (info.IsGroup || info.IsRmGroup || !branch) AddOperandBytes(bytes, info);
        while (bytes.Count < 24) bytes.Add((byte)random.Next());
        return [.. bytes];
    }

    /// <summary>ModRM with a memory operand in most cases that allow one, a SIB byte, a displacement; immediates are random anyway.</summary>
    private void AddOperandBytes(List<byte> bytes, OpCodeInfo info)
    {
        byte modRm = (byte)random.Next();
        if (random.OneIn(3)) modRm |= 0xc0;
        if (info.IsGroup) modRm = (byte)((modRm & 0xc7) | (info.GroupIndex << 3));
        if (info.IsRmGroup) modRm = (byte)((modRm & 0xf8) | info.RmGroupIndex);
        if (info.OpCount == 0 && !info.IsGroup && !info.IsRmGroup) return;
        bytes.Add(modRm);
    }

    /// <summary>Steers operands without registers, and branches, into the test's memory.</summary>
    private uint PatchAddresses(byte[] bytes, uint offset, ref Instruction instruction)
    {
        Decoder decoder = Decoder.Create(bitness, new ByteArrayCodeReader(bytes), mapBase + offset);
        decoder.Decode(out instruction);
        ConstantOffsets constants = decoder.GetConstantOffsets(instruction);
        uint end = offset + (uint)bytes.Length;
        uint branchTarget = 0;
        bool changed = false;
        bool bare = HasMemory(instruction) && instruction.MemoryBase == Register.None && instruction.MemoryIndex == Register.None;
        if (constants.HasDisplacement && (instruction.IsIPRelativeMemoryOperand || bare))
        {
            ulong target = mapBase + TestMap.DataWindow + 256 + (ulong)random.Below(1024);
            if (random.OneIn(2)) target &= ~15UL;
            if (instruction.IsIPRelativeMemoryOperand) target -= mapBase + end;
            BitConverter.GetBytes(target).AsSpan(0, constants.DisplacementSize).CopyTo(bytes.AsSpan(constants.DisplacementOffset));
            changed = true;
        }

        if (instruction.Mnemonic == Mnemonic.Enter)
        {
            bytes[constants.ImmediateOffset] &= 0x7f;
            bytes[constants.ImmediateOffset + 1] = 0;
            bytes[constants.ImmediateOffset2] &= 0xe7;
            changed = true;
        }

        if (instruction.OpCount > 0 && instruction.Op0Kind is OpKind.NearBranch32 or OpKind.NearBranch64)
        {
            uint delta = (uint)(ShortestBranch + random.Below(64));
            branchTarget = end + delta;
            bytes.AsSpan(constants.ImmediateOffset, constants.ImmediateSize).Clear();
            bytes[constants.ImmediateOffset] = (byte)delta;
            changed = true;
        }
        else if (instruction.FlowControl is FlowControl.IndirectBranch or FlowControl.IndirectCall or FlowControl.Return)
        {
            branchTarget = end + (uint)(ShortestBranch + random.Below(64));
        }

        if (changed) instruction = Decode(bytes, offset);
        return branchTarget;
    }
}
