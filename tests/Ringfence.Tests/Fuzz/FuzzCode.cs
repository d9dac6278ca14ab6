using Iced.Intel;
using Ringfence.Tests.Differential;

namespace Ringfence.Tests.Fuzz;

/// <summary>
/// Code no sane guest has: random encodings of every legacy instruction there is, privileged ones included, wild port and MMIO
/// accesses, and plain random bytes.
/// </summary>
internal sealed class FuzzCode
{
    private const int SnippetsPerSize = 6000;

    private static readonly ushort[] Ports =
    [
        0x20, 0x21, 0x40, 0x41, 0x42, 0x43, 0x60, 0x61, 0x64, 0x70, 0x71, 0x80, 0x92, 0xa0, 0xa1, 0xe9, 0x2f8, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc,
        0x3fd, 0x3fe, 0x3ff, 0x4d0, 0x4d1, 0x600, 0x604, 0x608, 0xcf8, 0xcfb, 0xcfc, 0xcfd, 0xcfe, 0xcff,
    ];

    private static readonly uint[] Registers =
    [
        0xfee0_0020, 0xfee0_0080, 0xfee0_00b0, 0xfee0_00d0, 0xfee0_00f0, 0xfee0_0300, 0xfee0_0310, 0xfee0_0320, 0xfee0_0350, 0xfee0_0380,
        0xfee0_03e0, 0xfec0_0000, 0xfec0_0010, 0xfed0_0000, 0xa_0000, 0xf_fff0, 0xffff_fff0, 0xc000_0000,
    ];

    private readonly byte[][][] _snippets = new byte[3][][];

    public FuzzCode(ulong seed)
    {
        CaseRandom random = new(seed);
        OpCodeInfo[] all = [.. Enum.GetValues<Code>().Select(code => code.ToOpCode()).Where(info => info.IsInstruction && info.Encoding == EncodingKind.Legacy && !info.Fwait)];
        for (int size = 0; size < 3; size++)
        {
            int bitness = 16 << size;
            OpCodeInfo[] codes = [.. all.Where(info => bitness == 64 ? info.Mode64 : bitness == 32 ? info.Mode32 : info.Mode16)];
            _snippets[size] = new byte[SnippetsPerSize][];
            for (int i = 0; i < SnippetsPerSize; i++) _snippets[size][i] = Encode(random, codes[i % codes.Length], bitness);
        }
    }

    /// <summary>Fills memory with code of a size.</summary>
    public void Fill(CaseRandom random, Span<byte> memory, int bitness)
    {
        byte[][] snippets = _snippets[bitness switch { 16 => 0, 32 => 1, _ => 2 }];
        for (int at = 0; at < memory.Length;)
        {
            byte[] piece = random.Below(32) switch
            {
                0 => PortAccess(random, bitness),
                1 when bitness != 16 => RegisterAccess(random, bitness),
                2 => [(byte)random.Next()],
                3 => [0xeb, (byte)random.Next()],
                4 => [(byte)(0x70 | random.Below(16)), (byte)random.Next()],
                5 => [0xcd, (byte)random.Next()],
                _ => random.Pick<byte[]>(snippets),
            };
            int length = Math.Min(piece.Length, memory.Length - at);
            piece.AsSpan(0, length).CopyTo(memory[at..]);
            at += length;
        }
    }

    private static byte[] Encode(CaseRandom random, OpCodeInfo info, int bitness)
    {
        byte[] bytes = new InstructionGenerator(random, 0, bitness).RandomEncoding(info);
        Decoder decoder = Decoder.Create(bitness, new ByteArrayCodeReader(bytes));
        decoder.Decode(out Instruction instruction);
        return bytes[..Math.Max(1, instruction.Length)];
    }

    /// <summary>mov dx, port; mov eax, value; in or out, once or repeated. Power-off ports are left to chance.</summary>
    private static byte[] PortAccess(CaseRandom random, int bitness)
    {
        ushort port = random.OneIn(4) ? (ushort)random.Next() : random.Pick<ushort>(Ports);
        byte[] move = bitness == 16 ? [0xba, (byte)port, (byte)(port >> 8)] : [0x66, 0xba, (byte)port, (byte)(port >> 8)];
        byte[] value = bitness == 16 ? [0xb8, (byte)random.Next(), (byte)random.Next()] : [0xb8, .. BitConverter.GetBytes((uint)random.Next())];
        byte[] access = random.Pick<byte[]>([[0xec], [0xed], [0xee], [0xee], [0xef], [0xef], [0x66, 0xef], [0x6c], [0x6f], [0xf3, 0x6d], [0xf3, 0x6e]]);
        return [.. move, .. value, .. access];
    }

    /// <summary>mov eax, value; mov [register], eax or the reverse.</summary>
    private static byte[] RegisterAccess(CaseRandom random, int bitness)
    {
        byte[] address = BitConverter.GetBytes(random.Pick<uint>(Registers) + (random.OneIn(4) ? (uint)random.Below(0x400) : 0));
        byte[] value = [0xb8, .. BitConverter.GetBytes((uint)random.Integer())];
        byte[] operation = random.Pick<byte[]>([[0x89], [0x89], [0x8b], [0x88], [0x01], [0xf0, 0x01], [0x0f, 0x11], [0xf0, 0x0f, 0xb1]]);
        byte[] operand = bitness == 64 ? [0x04, 0x25, .. address] : [0x05, .. address];
        return [.. value, .. operation, .. operand];
    }
}
