using Iced.Intel;

namespace Ringfence.Tests.CommandLine;

/// <summary>A ROM of 64 KiB whose 16-bit code begins at offset 0 of the segment that the reset vector lies in.</summary>
internal static class RomBuilder
{
    /// <summary>Assembles the code into a temporary file.</summary>
    /// <returns>Its path.</returns>
    public static string WriteFile(Action<Assembler> code)
    {
        const int ResetVector = 0xfff0;
        Assembler assembler = new(16);
        code(assembler);
        using MemoryStream stream = new();
        assembler.Assemble(new StreamCodeWriter(stream), 0);
        byte[] rom = new byte[0x1_0000];
        stream.ToArray().CopyTo(rom, 0);
        byte[] jumpToZero = [0xe9, 0x0d, 0x00];
        jumpToZero.CopyTo(rom, ResetVector);
        string path = Path.GetTempFileName();
        File.WriteAllBytes(path, rom);
        return path;
    }
}
