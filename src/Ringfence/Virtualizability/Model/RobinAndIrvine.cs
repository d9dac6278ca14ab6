namespace Ringfence.Virtualizability.Model;

/// <summary>
/// The instructions that Robin and Irvine ("Analysis of the Intel Pentium's Ability to Support a Secure Virtual Machine Monitor", 2000) found to
/// forbid a monitor: names only, beside what experiments find.
/// </summary>
internal static class RobinAndIrvine
{
    private static readonly Dictionary<string, string> Names = new(StringComparer.Ordinal)
    {
        ["SGDT"] = "SGDT",
        ["SIDT"] = "SIDT",
        ["SLDT"] = "SLDT",
        ["SMSW"] = "SMSW",
        ["PUSHF"] = "PUSHF",
        ["POPF"] = "POPF",
        ["LAR"] = "LAR",
        ["LSL"] = "LSL",
        ["VERR"] = "VERR",
        ["VERW"] = "VERW",
        ["POP Sreg"] = "POP",
        ["PUSH Sreg"] = "PUSH",
        ["CALL far"] = "CALL",
        ["JMP far"] = "JMP",
        ["INT n"] = "INT n",
        ["RET far"] = "RET",
        ["STR"] = "STR",
        ["MOV from Sreg"] = "MOV",
        ["MOV to Sreg"] = "MOV",
    };

    /// <summary>The name under which they list an instruction; null if they do not.</summary>
    public static string? NameOf(string instruction) => Names.GetValueOrDefault(instruction);

    /// <summary>All names.</summary>
    public static IEnumerable<string> All => Names.Values.Distinct();
}
