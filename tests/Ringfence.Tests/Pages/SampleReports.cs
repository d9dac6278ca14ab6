using Ringfence.Cli.Analyzing;
using Ringfence.Virtualizability;

namespace Ringfence.Tests.Pages;

/// <summary>Reports made by hand: every kind of verdict, and text that would like to be markup.</summary>
internal static class SampleReports
{
    public const string Hostile = "<script>document.title = 'taken'</script><img src=x onerror=alert(1)>\" onmouseover='alert(2)' & [bold]x[/]";

    public static VirtualizabilityReport NotVirtualizable { get; } = new()
    {
        Machine = "Ringfence processor model",
        Mode = "32-bit protected mode",
        Umip = false,
        Assumptions = ["IOPL is 0 in the user's states, so that I/O and the interrupt flag belong to the monitor.", "CR4.TSD and CR4.PCE are the monitor's to choose; they are set so that RDTSC and RDPMC trap."],
        Instructions =
        [
            Offender("LAR", "3C", ["GDT"], "LAR", host: new HostObservation { Traps = false, Result = "no trap, ZF = 1, 00cff300h", Prediction = "no trap", Agrees = true }),
            Offender("POPF", "3B, 3C", ["EFLAGS.IF", "EFLAGS.IOPL"], "POPF", host: new HostObservation { Traps = false, Result = "no trap, IF unchanged", Prediction = "no trap", Agrees = true }),
            Offender("SGDT", "3B", ["GDTR"], "SGDT", host: new HostObservation { Traps = false, Result = "no trap, base fffe0000h", Prediction = "#GP(0)", Agrees = false, Note = "The kernel emulates SGDT under user-mode instruction prevention." }),
            Offender("XGETBV", "3B", ["XCR0"], null),
            Privileged("CLTS", ["CR0.TS"]),
            Privileged("HLT", ["activity"], new HostObservation { Traps = true, Result = "SIGSEGV, #GP(0)", Prediction = "#GP(0)", Agrees = true }),
            Innocuous("ADD"),
            Innocuous("MOV"),
            Innocuous(Hostile),
        ],
        IsVirtualizable = false,
        Verdict = "Four sensitive instructions are not privileged: Popek and Goldberg's first theorem does not apply, and a monitor by trap and emulate alone cannot be built.",
        Forms = 1234,
        Executions = 5_678_901,
        Duration = TimeSpan.FromSeconds(2.5),
        HostProcessor = "Example CPU 9000 @ 3.00GHz",
        HostUmip = true,
    };

    public static UmipContrast Contrast { get; } = new(true, false, 3, ["SGDT"]);

    public static VirtualizabilityReport Virtualizable { get; } = NotVirtualizable with
    {
        Instructions = [.. NotVirtualizable.Instructions.Where(i => !i.IsOffender).Select(i => i with { Host = null })],
        IsVirtualizable = true,
        Umip = true,
        Verdict = "Every sensitive instruction is privileged: a monitor by trap and emulate alone can be built.",
        Assumptions = [],
        HostProcessor = null,
        HostUmip = null,
    };

    private static InstructionVerdict Offender(string name, string rule, string[] touches, string? literature, HostObservation? host = null) => new()
    {
        Instruction = name,
        Forms = [$"{name} r32, r/m32", $"{name} m48"],
        IsPrivileged = false,
        IsControlSensitive = touches.Length > 1,
        IsBehaviourSensitive = true,
        Rule = rule,
        Touches = touches,
        Explanation = $"Shows {touches[0]} to a program in user mode without a trap. A guest would see what is the monitor's instead of what it has set itself.",
        Literature = literature,
        Witnesses =
        [
            Experiment(WitnessedProperty.BehaviourSensitive, name, "CPL 3, tables at 00010000h", "CPL 3, tables at 00020000h", "memory", "ff 07 00 00 01 00", "ff 07 00 00 02 00"),
            Experiment(WitnessedProperty.NotPrivileged, name, "CPL 0", "CPL 3", "trap", "none", "none"),
        ],
        Treatments =
        [
            new("interpretation", "definition", "executed by the model itself"),
            new("binary translation", "call-out", "the monitor does it on the guest's state"),
            new("trap and emulate", "inserted trap", "patched with INT3 before it runs"),
            new("paravirtualization", "hypercall", "the guest's kernel does not contain it"),
            new("hardware assist", "intercept", "VT-x descriptor-table exiting"),
        ],
        Host = host,
    };

    private static InstructionVerdict Privileged(string name, string[] touches, HostObservation? host = null) => new()
    {
        Instruction = name,
        Forms = [name],
        IsPrivileged = true,
        IsControlSensitive = true,
        IsBehaviourSensitive = false,
        Rule = "",
        Touches = touches,
        Explanation = "Traps outside CPL 0.",
        Witnesses = [Experiment(WitnessedProperty.Privileged, name, "CPL 0", "CPL 3", "trap", "none", "#GP(0)")],
        Treatments = [new("interpretation", "definition", "executed by the model itself"), new("binary translation", "call-out", "the monitor does it"), new("trap and emulate", "trap", "#GP(0)")],
        Host = host,
    };

    private static InstructionVerdict Innocuous(string name) => new()
    {
        Instruction = name,
        Forms = [name, Hostile],
        IsPrivileged = false,
        IsControlSensitive = false,
        IsBehaviourSensitive = false,
        Rule = "",
        Touches = [],
        Explanation = "Does the same everywhere.",
        Witnesses = [],
        Treatments = [],
    };

    private static Witness Experiment(WitnessedProperty property, string name, string first, string second, string element, string firstValue, string secondValue) => new()
    {
        Property = property,
        Assembler = name.ToLowerInvariant(),
        Bytes = "0f 01 07",
        Scenario = "EDI at writable memory",
        First = first,
        Second = second,
        Element = element,
        FirstValue = firstValue,
        SecondValue = secondValue,
    };
}
