namespace Ringfence.Virtualizability.Model;

/// <summary>Why instructions are sensitive, for people. Verdicts do not depend on it.</summary>
internal static class Explanations
{
    private const string StoresTable = "A program reads where the {0} lies, and its length. With a monitor that is the monitor's table, not the guest's; UMIP makes it trap.";
    private const string SelectorAnswer = "Answers from the descriptor tables, and by CPL: a guest kernel that runs at an outer level is told other than at level 0, silently.";
    private const string LoadsSegment = "Loads {0} from the descriptor tables, by the rules of the level it runs at. A guest's selector finds the monitor's descriptor.";
    private const string ShowsSelectors = "Stores the selectors of the last x87 instruction and its operand. Code's selector has the CPL in its lower bits, so a guest kernel finds out where it runs.";

    private static readonly Dictionary<string, string> Texts = new(StringComparer.Ordinal)
    {
        ["SGDT"] = string.Format(null, StoresTable, "GDT"),
        ["SIDT"] = string.Format(null, StoresTable, "IDT"),
        ["SLDT"] = "A program reads the selector in LDTR, which is the monitor's choice; UMIP makes it trap.",
        ["STR"] = "A program reads the selector in TR. Its RPL and its place are the monitor's; UMIP makes it trap.",
        ["SMSW"] = "A program reads the lower bits of CR0, TS and PE among them, as the monitor has set them; UMIP makes it trap.",
        ["PUSHF"] = "Stores IF and IOPL, which a monitor keeps for itself: a guest kernel that cleared IF reads it as 1.",
        ["POPF"] = "At level 0 it changes IF and IOPL; in user mode it leaves them as they are and does not trap, so a guest kernel's change is lost.",
        ["LAR"] = SelectorAnswer,
        ["LSL"] = SelectorAnswer,
        ["VERR"] = SelectorAnswer,
        ["VERW"] = SelectorAnswer,
        ["PUSH Sreg"] = "Stores a selector. CS and SS hold the CPL in their lower bits, and selectors name places in the monitor's tables.",
        ["MOV from Sreg"] = "Stores a selector. CS and SS hold the CPL in their lower bits, and selectors name places in the monitor's tables.",
        ["POP Sreg"] = string.Format(null, LoadsSegment, "a segment register"),
        ["MOV to Sreg"] = string.Format(null, LoadsSegment, "a segment register"),
        ["LDS"] = string.Format(null, LoadsSegment, "DS"),
        ["LES"] = string.Format(null, LoadsSegment, "ES"),
        ["LFS"] = string.Format(null, LoadsSegment, "FS"),
        ["LGS"] = string.Format(null, LoadsSegment, "GS"),
        ["LSS"] = string.Format(null, LoadsSegment, "SS") + " Which selectors are right depends on CPL: what loads at one level traps at another, and the other way round.",
        ["CALL far"] = "Pushes CS with the CPL, loads CS from the monitor's descriptors, and through call gates and task state segments changes level or task, without a trap.",
        ["JMP far"] = "Loads CS from the monitor's descriptors, and outside 64-bit mode switches tasks, without a trap.",
        ["RET far"] = "Compares the return address's RPL with CPL: to the same level it pops two words, to an outer one it pops SS and ESP too. The guest's level is not the one that counts.",
        ["IRET"] = "As a far RET, and it restores IF and IOPL only as far as CPL allows, silently. Robin and Irvine do not list it; it has every fault of RET and POPF.",
        ["INT n"] = "Through a gate that is open to its level it enters level 0 without a trap; at level 0 the same instruction stays on its stack. What it pushes has CPL, IF and IOPL in it.",
        ["INT3"] = "INT n for vector 3: through an open gate it changes the level without a trap, and pushes CPL, IF and IOPL.",
        ["INTO"] = "INT n for vector 4 if OF is set: through an open gate it changes the level without a trap, and pushes CPL, IF and IOPL.",
        ["INT1"] = "Goes through the gate of vector 1 from every level, whatever the gate's DPL; long undocumented, and in no list of the time.",
        ["SYSENTER"] = "Enters level 0 where IA32_SYSENTER_EIP says, from every level. Newer than the literature's list. A monitor can make it trap, everywhere, by clearing IA32_SYSENTER_CS.",
        ["SYSCALL"] = "Enters level 0 where IA32_LSTAR says and leaves IF and IOPL in R11. Newer than the literature's list. A monitor can make it trap, everywhere, by clearing IA32_EFER.SCE.",
        ["CPUID"] = "Describes the processor it runs on: number, features that depend on MSRs, model. It traps at no level; only later processors can be told to fault.",
        ["FNSTENV"] = ShowsSelectors,
        ["FNSAVE"] = ShowsSelectors,
        ["FXSAVE"] = ShowsSelectors + " Newer processors store 0 (CPUID leaf 7).",
        ["CLI"] = "Clears IF where CPL is not above IOPL.",
        ["STI"] = "Sets IF where CPL is not above IOPL.",
        ["HLT"] = "Stops the processor until an interrupt.",
        ["CLTS"] = "Clears CR0.TS.",
        ["LMSW"] = "Loads the lower bits of CR0.",
        ["LGDT"] = "Loads GDTR.",
        ["LIDT"] = "Loads IDTR.",
        ["LLDT"] = "Loads LDTR and the segment it names.",
        ["LTR"] = "Loads TR and marks the task busy.",
        ["MOV to CR"] = "Changes control registers: mode, paging, page tables.",
        ["MOV from CR"] = "Reads control registers.",
        ["MOV to DR"] = "Changes debug registers.",
        ["MOV from DR"] = "Reads debug registers.",
        ["RDMSR"] = "Reads a model-specific register.",
        ["WRMSR"] = "Writes a model-specific register.",
        ["RDTSC"] = "Reads the clock. It traps in user mode because CR4.TSD is set.",
        ["RDTSCP"] = "Reads the clock and IA32_TSC_AUX. It traps in user mode because CR4.TSD is set.",
        ["IN"] = "Reads a device.",
        ["INS"] = "Reads a device into memory.",
        ["OUT"] = "Writes to a device.",
        ["OUTS"] = "Writes memory to a device.",
        ["SWAPGS"] = "Exchanges GS base with IA32_KERNEL_GS_BASE.",
        ["SYSEXIT"] = "Returns to user mode.",
        ["SYSRET"] = "Returns to user mode.",
        ["INVLPG"] = "Forgets a translation; what TLBs hold is not looked at here.",
        ["INVD"] = "Empties caches, which are not looked at here.",
        ["WBINVD"] = "Writes caches back and empties them; caches are not looked at here.",
        ["STAC"] = "Sets EFLAGS.AC, which at level 0 lets it access user pages in spite of SMAP.",
        ["CLAC"] = "Clears EFLAGS.AC.",
    };

    private static readonly Dictionary<string, string> InVirtual8086 = new(StringComparer.Ordinal)
    {
        ["INT n"] = "As IOPL is below 3 it traps, and the monitor calls the handler in the program's own table of vectors.",
        ["INT3"] = "Enters the handler of vector 3. The table is the monitor's, with a gate that is open to nobody, so it traps.",
        ["INTO"] = "With OF clear it does nothing in either mode, so by the letter of the definition it does not always trap; where it would do something, it traps. Harmless.",
        ["INT1"] = "Goes through the gate of vector 1 whatever the gate's DPL: a change of mode without a trap. As the table is the monitor's, it arrives at the monitor all the same.",
        ["IRET"] = "Restores flags with IF among them; as IOPL is below 3 it traps.",
        ["PUSHF"] = "Stores IF; as IOPL is below 3 it traps.",
        ["POPF"] = "Changes IF; as IOPL is below 3 it traps.",
        ["CLI"] = "Clears IF; as IOPL is below 3 it traps.",
        ["STI"] = "Sets IF; as IOPL is below 3 it traps.",
        ["SMSW"] = "A program reads CR0.PE, which is 1 in virtual-8086 mode and 0 in the real-address mode it believes in; UMIP makes it trap.",
    };

    /// <summary>The explanation of an instruction in a mode; null: there is none.</summary>
    public static string? Of(string instruction, AnalysisMode mode) =>
        (mode == AnalysisMode.Virtual8086 ? InVirtual8086.GetValueOrDefault(instruction) : null) ?? Texts.GetValueOrDefault(instruction);
}
