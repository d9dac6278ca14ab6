namespace Ringfence.Virtualizability.Model;

/// <summary>What the experiments of a mode have in common, and what was chosen in a monitor's favour.</summary>
internal static class ModelAssumptions
{
    /// <summary>The assumptions of a mode, a sentence each.</summary>
    public static IReadOnlyList<string> Of(AnalysisMode mode, bool umip)
    {
        List<string> list = ["A trap is a fault that the instruction raises before it completes. What an instruction does to caches and TLBs is not looked at."];
        if (mode == AnalysisMode.Real)
        {
            list.Add("Real-address mode has no user mode: there are no pairs of states that differ in the mode only, and nothing is privileged.");
        }
        else
        {
            list.Add("A program in user mode runs with IOPL 0 and an I/O permission bitmap that allows no port; only experiments on behaviour vary IOPL.");
            list.Add("CR4.TSD is 1 and CR4.PCE is 0: RDTSC, RDTSCP and RDPMC are for privilege level 0.");
            list.Add($"CR4.UMIP is {(umip ? 1 : 0)}.");
        }

        switch (mode)
        {
            case AnalysisMode.Protected or AnalysisMode.Long:
                list.Add("Supervisor mode is CPL 0, user mode CPL 1, 2 and 3. Code runs in segments of its level; the other segments, and all that they reach, are of level 3 in all states.");
                list.Add("The descriptor tables are a system's as it would set them up: gates for INT3, INTO, one INT n and a call gate that level 3 may use, and SYSENTER's registers filled. "
                    + "Entering level 0 through them is a change of mode, not a trap.");
                list.Add("A program that runs in a segment has executed an x87 instruction in it: the selectors that x87 instructions record belong to the state, and count where they are shown.");
                break;
            case AnalysisMode.Virtual8086:
                list.Add("Supervisor mode is real-address mode, in which the same program sees the same registers and memory; user mode is virtual-8086 mode.");
                list.Add("The interrupt descriptor table and SYSENTER's registers are the monitor's own: no gate is open to level 3, and IA32_SYSENTER_CS is 0.");
                break;
        }

        if (mode is AnalysisMode.Real or AnalysisMode.Virtual8086)
            list.Add("Segment registers are the program's own, as general registers are: any selector is valid, and its base follows from it.");
        if (mode == AnalysisMode.Long)
            list.Add("CR4.FSGSBASE is 1: FS and GS base are a program's own registers, which protect nothing. IA32_KERNEL_GS_BASE is not.");
        if (mode != AnalysisMode.Real)
            list.Add("Memory operands lie in pages that every level may read and write: faults of protected memory say nothing about an instruction.");
        return list;
    }
}
