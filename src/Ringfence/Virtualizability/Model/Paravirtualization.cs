namespace Ringfence.Virtualizability.Model;

/// <summary>What a guest does that knows its monitor.</summary>
internal static class Paravirtualization
{
    private const string Technique = "paravirtualization";

    /// <summary>What replaces an instruction in such a guest's kernel.</summary>
    public static Treatment Of(InstructionVerdict verdict)
    {
        switch (verdict.Instruction)
        {
            case "MOV to Sreg" or "POP Sreg" or "LDS" or "LES" or "LFS" or "LGS" or "LSS" or "CALL far" or "JMP far" or "RET far":
                return new Treatment(Technique, "none needed", "the monitor has checked the descriptors that selectors lead to");
            case "INT n" or "INT3" or "INTO" or "INT1" or "SYSENTER" or "SYSCALL":
                return new Treatment(Technique, "none needed", "it leads to the monitor, which knows the guest's handlers");
            case "CLI" or "STI" or "POPF" or "PUSHF":
                return new Treatment(Technique, "hypercall", "or a flag in memory that the monitor looks at");
            case "STAC" or "CLAC":
                return new Treatment(Technique, "none needed", "the guest's kernel is not told of SMAP");
        }

        return verdict.IsControlSensitive || verdict.IsPrivileged
            ? new Treatment(Technique, "hypercall", "the guest's kernel asks the monitor")
            : new Treatment(Technique, "none needed", "the guest's kernel knows that what it shows is the monitor's");
    }
}
