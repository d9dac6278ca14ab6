using Iced.Intel;

namespace Ringfence.Guests;

/// <summary>Small additions to Iced's assembler.</summary>
internal static class AssemblerExtensions
{
    /// <summary>Puts a label here. Iced allows one label an instruction; a second one gets a NOP between.</summary>
    public static void Here(this Assembler a, ref Label label)
    {
        if (!a.CurrentLabel.IsEmpty) a.nop();
        a.Label(ref label);
    }

    /// <summary>Starts a routine here.</summary>
    public static void Here(this Assembler a, Routine routine) => a.Here(ref routine.Label);

    public static void PushAll(this Assembler a, params ReadOnlySpan<AssemblerRegister64> registers)
    {
        foreach (AssemblerRegister64 register in registers) a.push(register);
    }

    /// <summary>The reverse of <see cref="PushAll"/> with the same list.</summary>
    public static void PopAll(this Assembler a, params ReadOnlySpan<AssemblerRegister64> registers)
    {
        for (int i = registers.Length - 1; i >= 0; i--) a.pop(registers[i]);
    }
}
