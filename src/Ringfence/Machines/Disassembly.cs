using System.Globalization;
using Iced.Intel;
using Ringfence.Processors;

namespace Ringfence.Machines;

/// <summary>Guest instructions in assembler, for reports.</summary>
internal static class Disassembly
{
    private const int LongestInstruction = 15;

    /// <summary>The instruction a processor is at: address, bytes, text.</summary>
    public static string CurrentInstruction(Processor processor) => InstructionAt(processor, 0);

    /// <summary>As <see cref="CurrentInstruction"/>, but of a halted processor the HLT that it has executed.</summary>
    public static unsafe string LastInstruction(Processor processor)
    {
        const byte Hlt = 0xf4;
        bool halted = processor.State->Activity == ActivityState.Halted
            && TryReadByte(processor, new ProcessorRegisters(processor).InstructionAddress - 1, out byte last) && last == Hlt;
        return InstructionAt(processor, halted ? 1UL : 0);
    }

    private static string InstructionAt(Processor processor, ulong bytesBack)
    {
        var registers = new ProcessorRegisters(processor);
        ulong address = registers.InstructionAddress - bytesBack;
        Span<byte> bytes = stackalloc byte[LongestInstruction];
        int length = 0;
        while (length < LongestInstruction && TryReadByte(processor, address + (ulong)length, out bytes[length])) length++;
        if (length == 0) return string.Create(CultureInfo.InvariantCulture, $"{address:x16}: not in memory");

        Decoder decoder = Decoder.Create(registers.CodeBits, bytes[..length].ToArray());
        decoder.IP = registers.Rip - bytesBack;
        decoder.Decode(out Instruction instruction);
        if (instruction.IsInvalid) return string.Create(CultureInfo.InvariantCulture, $"{address:x16}: {Convert.ToHexString(bytes[..length])} (no instruction)");
        var output = new StringOutput();
        new NasmFormatter().Format(instruction, output);
        return string.Create(CultureInfo.InvariantCulture, $"{address:x16}: {Convert.ToHexString(bytes[..instruction.Length])} {output.ToStringAndReset()}");
    }

    private static unsafe bool TryReadByte(Processor processor, ulong linear, out byte value)
    {
        value = 0;
        if (!processor.Mmu.TryTranslateForDebugger(linear, out ulong physical)) return false;
        byte* page = processor.Mmu.Memory.PageAt(physical, out _);
        if (page is null) return false;
        value = page[physical & 0xfff];
        return true;
    }
}
