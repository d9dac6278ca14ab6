using System.Globalization;
using Ringfence.Processors;

namespace Ringfence.Virtualizability.HostProcessors;

/// <summary>One instruction with one set of operands, on the host's processor and on the model in the same state.</summary>
/// <param name="Assembler">The instruction.</param>
/// <param name="Scenario">Name of its operands.</param>
/// <param name="Case">The state it started in.</param>
/// <param name="Host">What the host's processor did.</param>
/// <param name="Model">What the model did.</param>
internal sealed record HostExperiment(string Assembler, string Scenario, HostCase Case, HostOutcome Host, HostOutcome Model)
{
    private const int MostBytes = 16;
    private const int StackPointer = 4;

    private static readonly string[] Names64 =
        ["RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"];

    private static readonly string[] Names32 = ["EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI"];

    /// <summary>The instruction is a software interrupt, and came through its gate: no fault.</summary>
    public bool IsSoftwareInterrupt { get; init; }

    /// <summary>The processor trapped, and the kernel gave the program a result all the same.</summary>
    public bool IsEmulated { get; init; }

    /// <summary>What differs, for people; null: nothing that should not.</summary>
    public string? Difference { get; init; }

    /// <summary>Why it differs or what was not compared; null: nothing to say.</summary>
    public string? Note { get; init; }

    /// <summary>The host's processor raised an exception that the instruction did not ask for.</summary>
    public bool Traps => IsEmulated || (Host.Kind == HostOutcomeKind.Trapped && !IsSoftwareInterrupt);

    /// <summary>How much there is to see of the host's result: 3 a gate was gone through, 2 in registers or memory, 1 in flags, 0 nothing but the stack pointer.</summary>
    public int ResultRank
    {
        get
        {
            if (IsSoftwareInterrupt) return 3;
            if (Host.Kind != HostOutcomeKind.Completed) return 0;
            List<string> changes = Changes(Host);
            return changes.Count == 0 ? 0 : changes.Exists(c => !c.StartsWith("flags", StringComparison.Ordinal)) ? 2 : 1;
        }
    }

    /// <summary>What the host did, for people.</summary>
    public string HostText => IsEmulated ? $"#GP, emulated by the kernel: {string.Join(", ", Changes(Host))}" : Describe(Host);

    /// <summary>What the model did, for people.</summary>
    public string ModelText => Describe(Model);

    private string Describe(HostOutcome outcome)
    {
        if (outcome.Kind == HostOutcomeKind.Trapped && IsSoftwareInterrupt) return $"entered the kernel through the gate of {HostOutcome.NameOf(outcome.Vector)}";
        if (outcome.Kind != HostOutcomeKind.Completed) return outcome.Describe();
        List<string> changes = Changes(outcome);
        return changes.Count == 0 ? "completed" : $"completed, {string.Join(", ", changes)}";
    }

    /// <summary>What the program sees of the result besides the stack pointer: registers, flags, selectors and memory that changed.</summary>
    private List<string> Changes(HostOutcome outcome)
    {
        List<string> changes = [];
        string[] names = Case.Bitness == 64 ? Names64 : Names32;
        for (int i = 0; i < names.Length; i++)
        {
            if (i == StackPointer) continue;
            ulong before = i < Case.Registers.Count ? Case.Registers[i] : 0;
            ulong after = Case.Bitness == 64 ? outcome.Registers[i] : (uint)outcome.Registers[i];
            if (before != after) changes.Add(string.Create(CultureInfo.InvariantCulture, $"{names[i]} = 0x{after:x}"));
        }

        ulong flags = Case.Flags | RflagsBits.If;
        if (outcome.Flags != flags) changes.Add(string.Create(CultureInfo.InvariantCulture, $"flags = 0x{outcome.Flags:x}"));
        AddSelector("DS", Case.Ds, outcome.Ds);
        AddSelector("ES", Case.Es, outcome.Es);
        AddSelector("FS", Case.Fs, outcome.Fs);
        AddSelector("GS", Case.Gs, outcome.Gs);
        AddMemory("memory", Case.Data.Span, outcome.Data.Span);
        AddMemory("stack", Case.Stack.Span, outcome.Stack.Span);
        return changes;

        void AddSelector(string name, ushort before, ushort after)
        {
            if (before != after) changes.Add(string.Create(CultureInfo.InvariantCulture, $"{name} = 0x{after:x}"));
        }

        void AddMemory(string name, ReadOnlySpan<byte> before, ReadOnlySpan<byte> after)
        {
            int first = before.CommonPrefixLength(after);
            if (first == after.Length) return;
            int last = after.Length - 1;
            while (last < before.Length && before[last] == after[last]) last--;
            int bytes = Math.Min(last + 1 - first, MostBytes);
            changes.Add($"{name} {Convert.ToHexStringLower(after.Slice(first, bytes))}{(last + 1 - first > bytes ? "..." : "")}");
        }
    }
}
