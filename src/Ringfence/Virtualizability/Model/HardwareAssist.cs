namespace Ringfence.Virtualizability.Model;

/// <summary>What VT-x does with an instruction of a guest in VMX non-root operation (Intel SDM 3C 25.1.2, 25.1.3, 25.3).</summary>
internal static class HardwareAssist
{
    private const string Technique = "hardware assist";

    /// <summary>The control that makes it exit, or why none is needed.</summary>
    public static Treatment Of(string instruction) => instruction switch
    {
        "CPUID" or "INVD" => Exit("exits unconditionally"),
        "SGDT" or "SIDT" or "SLDT" or "STR" or "LGDT" or "LIDT" or "LLDT" or "LTR" => Exit("descriptor-table exiting, where the guest's own registers do not suffice"),
        "SMSW" => Own("CR0 read shadow answers for the bits that the monitor owns"),
        "MOV from CR" => Exit("CR3-store and CR8-store exiting; CR0 and CR4 are answered by read shadows"),
        "MOV to CR" => Exit("CR0 and CR4 guest/host masks, CR3-load and CR8-load exiting"),
        "CLTS" or "LMSW" => Exit("CR0 guest/host mask"),
        "MOV from DR" or "MOV to DR" => Exit("MOV-DR exiting"),
        "RDMSR" or "WRMSR" => Exit("MSR bitmaps"),
        "RDTSC" or "RDTSCP" => Exit("RDTSC exiting; otherwise the guest's own TSC offset"),
        "IN" or "OUT" or "INS" or "OUTS" => Exit("I/O bitmaps or unconditional I/O exiting"),
        "HLT" => Exit("HLT exiting"),
        "INVLPG" => Exit("INVLPG exiting; not needed with extended page tables"),
        "WBINVD" => Exit("WBINVD exiting"),
        "INT3" => Exit("exception bitmap, vector 3; the guest's own IDT otherwise"),
        "INTO" => Exit("exception bitmap, vector 4; the guest's own IDT otherwise"),
        "INT1" => Exit("exception bitmap, vector 1; the guest's own IDT otherwise"),
        "CALL far" or "JMP far" or "IRET" or "INT n" => Own("the guest has privilege levels and tables of its own; only a task switch exits, unconditionally"),
        "CLI" or "STI" or "POPF" or "PUSHF" => Own("the guest has RFLAGS of its own; external-interrupt exiting keeps the monitor in control"),
        "SYSENTER" or "SYSEXIT" or "SYSCALL" or "SYSRET" or "SWAPGS" => Own("the guest has privilege levels and MSRs of its own"),
        _ => Own("the guest has privilege levels, segments and tables of its own"),
    };

    private static Treatment Exit(string detail) => new(Technique, "intercept", detail);

    private static Treatment Own(string detail) => new(Technique, "none needed", detail);
}
