using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Translation;

/// <summary>Code to look at.</summary>
internal static class Samples
{
    private const ulong Origin = 0x1000;

    private static readonly Dictionary<string, ulong> Labels = [];

    /// <summary>isPrime(a) by trial division, the textbook example of binary translation: EDI is the number, EAX the answer.</summary>
    public static byte[] IsPrime { get; } = Assemble();

    /// <summary>Address of a place in <see cref="IsPrime"/>.</summary>
    public static ulong IsPrimeLabel(string name) => Labels[name];

    /// <summary>Bytes in hexadecimal, with spaces.</summary>
    public static byte[] Bytes(string hex) => Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));

    private static byte[] Assemble()
    {
        var c = new Assembler(64);
        Label nexti = c.CreateLabel();
        Label afterTest = c.CreateLabel();
        Label prime = c.CreateLabel();
        Label notPrime = c.CreateLabel();
        c.mov(ecx, edi);
        c.mov(esi, 2);
        c.cmp(esi, ecx);
        c.jge(prime);
        c.Label(ref nexti);
        c.mov(eax, ecx);
        c.cdq();
        c.idiv(esi);
        c.test(edx, edx);
        c.jz(notPrime);
        c.Label(ref afterTest);
        c.inc(esi);
        c.cmp(esi, ecx);
        c.jl(nexti);
        c.Label(ref prime);
        c.mov(eax, 1);
        c.ret();
        c.Label(ref notPrime);
        c.xor(eax, eax);
        c.ret();
        var bytes = new MemoryStream();
        AssemblerResult result = c.Assemble(new StreamCodeWriter(bytes), Origin, BlockEncoderOptions.ReturnNewInstructionOffsets);
        Labels.Add("nexti", result.GetLabelRIP(nexti));
        Labels.Add("afterTest", result.GetLabelRIP(afterTest));
        Labels.Add("prime", result.GetLabelRIP(prime));
        Labels.Add("notPrime", result.GetLabelRIP(notPrime));
        return bytes.ToArray();
    }
}
