using Ringfence.Processors;
using static Ringfence.Virtualizability.Model.ModelLayout;

namespace Ringfence.Virtualizability.Model;

/// <summary>The environments of a mode, and which of them are compared.</summary>
internal sealed class EnvironmentCatalogue
{
    private readonly AnalysisMode _mode;
    private readonly List<MachineEnvironment> _environments = [];
    private readonly List<EnvironmentSettings> _settings = [];
    private readonly List<EnvironmentPair> _pairs = [];

    /// <summary>Makes the environments of a mode.</summary>
    public EnvironmentCatalogue(AnalysisMode mode)
    {
        _mode = mode;
        int[] levels = mode switch { AnalysisMode.Real => [0], AnalysisMode.Virtual8086 => [0, 3], _ => [0, 1, 2, 3] };
        int[] bases = [.. levels.Select(l => Add(new EnvironmentSettings { Level = l }, ""))];
        // Pairs that differ in the mode come first, with the outermost level first of all.
        string register = mode == AnalysisMode.Virtual8086 ? "processor mode" : "CPL";
        for (int i = bases.Length - 1; i > 0; i--) _pairs.Add(new EnvironmentPair(bases[0], bases[i], ElementClass.Mode, register));
        var user = new List<EnvironmentPair>();
        var supervisor = new List<EnvironmentPair>();
        foreach (Component component in Components(mode))
        {
            int inner = Add(component.Change(_settings[bases[0]]), component.Name);
            Compare(supervisor, bases[0], inner, component);
            if (bases.Length == 1) continue;
            int outer = Add(component.Change(_settings[bases[^1]]), component.Name);
            Compare(user, bases[^1], outer, component);
            if (component.IsMonitorsChoice) continue;
            _pairs.Add(new EnvironmentPair(inner, outer, ElementClass.Mode, register));
        }

        _pairs.AddRange(user);
        _pairs.AddRange(supervisor);
    }

    /// <summary>The environments.</summary>
    public IReadOnlyList<MachineEnvironment> Environments => _environments;

    /// <summary>What each is made of.</summary>
    public IReadOnlyList<EnvironmentSettings> Settings => _settings;

    /// <summary>What is compared.</summary>
    public IReadOnlyList<EnvironmentPair> Pairs => _pairs;

    private static void Compare(List<EnvironmentPair> pairs, int first, int second, Component component) =>
        pairs.Add(new EnvironmentPair(first, second, component.Class, component.Register));

    private static IEnumerable<Component> Components(AnalysisMode mode)
    {
        const ElementClass Register = ElementClass.SensitiveRegister;
        const ElementClass Map = ElementClass.Protection;
        yield return new Component("IF 0", Register, "EFLAGS.IF", s => s with { Interrupts = false });
        if (mode is AnalysisMode.Protected or AnalysisMode.Long)
            yield return new Component("IOPL 3", Register, "EFLAGS.IOPL", s => s with { Iopl = 3 }, IsMonitorsChoice: true);
        yield return new Component("GDT elsewhere", Map, "GDTR", s => s with { GdtBase = OtherGdt });
        yield return new Component("IDT elsewhere", Map, "IDTR", s => s with { IdtBase = OtherIdt });
        yield return new Component("CR0.TS 1", Register, "CR0", s => s with { Cr0 = Cr0.Ts });
        yield return new Component("CR0.NE 0", Register, "CR0", s => s with { Cr0 = Cr0.Ne });
        yield return new Component("CR4.DE 1", Register, "CR4", s => s with { Cr4 = Cr4.De });
        yield return new Component("IA32_EFER.NXE 1", Register, "IA32_EFER", s => s with { Efer = Efer.Nxe });
        if (mode is AnalysisMode.Protected or AnalysisMode.Long)
        {
            yield return new Component("LDT elsewhere", Map, "LDTR", s => s with { LdtSelector = OtherLdtSelector });
            yield return new Component("TSS elsewhere", Map, "TR", s => s with { TssSelector = OtherTssSelector });
            yield return new Component("other segments' descriptors changed", Map, "descriptors", s => s with { HasChangedDescriptors = true });
            yield return new Component("segments under other selectors", Map, "segment selectors", s => s with { UsesLdt = true });
        }

        if (mode == AnalysisMode.Protected)
            yield return new Component("segments relocated", Map, "segment bases", s => s with { SegmentBase = Relocation });
        if (mode is AnalysisMode.Protected or AnalysisMode.Long)
            yield return new Component("in other page frames", Map, "page tables", s => s with { IsInOtherFrames = true });
        yield return new Component("on processor 1", Register, "processor number", s => s with { Processor = 1 });
        yield return new Component("time-stamp counter ahead", Register, "time-stamp counter", s => s with { TimestampOffset = 0x1_0000_0000 });
        yield return Change(SystemRegister.TscAux, "IA32_TSC_AUX");
        yield return Change(SystemRegister.Sysenter, "IA32_SYSENTER_EIP");
        yield return Change(SystemRegister.Cr2, "CR2");
        yield return Change(SystemRegister.Cr8, "CR8");
        yield return Change(SystemRegister.Debug, "DR0 to DR7");
        yield return Change(SystemRegister.Pat, "IA32_PAT");
        yield return Change(SystemRegister.MiscEnable, "IA32_MISC_ENABLE");
        yield return Change(SystemRegister.Mtrr, "MTRRs");
        yield return Change(SystemRegister.ApicBase, "IA32_APIC_BASE");
        if (mode == AnalysisMode.Long)
        {
            yield return Change(SystemRegister.Syscall, "IA32_LSTAR");
            yield return Change(SystemRegister.KernelGsBase, "IA32_KERNEL_GS_BASE");
        }

        yield return new Component("devices answer otherwise", ElementClass.InputOutput, "ports", s => s with { Changed = SystemRegister.Ports });

        static Component Change(SystemRegister register, string name) => new($"{name} changed", Register, name, s => s with { Changed = register });
    }

    private int Add(EnvironmentSettings settings, string change)
    {
        string level = _mode switch
        {
            AnalysisMode.Real => "real-address mode",
            AnalysisMode.Virtual8086 => settings.Level == 0 ? "real-address mode" : "virtual-8086 mode, IOPL 0",
            _ => $"CPL {settings.Level}",
        };
        _environments.Add(new MachineEnvironment(change.Length == 0 ? level : $"{level}, {change}", settings.Level != 0));
        _settings.Add(settings);
        return _settings.Count - 1;
    }

    /// <summary>A component in which environments differ.</summary>
    /// <param name="Name">The difference.</param>
    /// <param name="Class">What the component is.</param>
    /// <param name="Register">The component.</param>
    /// <param name="Change">Makes the difference.</param>
    /// <param name="IsMonitorsChoice">A monitor would not choose it: no evidence about privilege.</param>
    private sealed record Component(
        string Name, ElementClass Class, string Register, Func<EnvironmentSettings, EnvironmentSettings> Change, bool IsMonitorsChoice = false);
}
