using Iced.Intel;
using Ringfence.Virtualizability.Model;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Virtualizability.HostProcessors;

/// <summary>
/// Executes the analysis's instructions natively at CPL 3 and on the model in the state of a Linux process (<see cref="LinuxProcessModel"/>), and sets
/// both beside each other. Only for the modes that a process can be in: 64-bit mode, and compatibility mode for 32-bit code. Not thread-safe.
/// </summary>
internal sealed class HostComparison : IDisposable
{
    /// <summary>Where in the data area an instruction's memory operand lies.</summary>
    public const int DataOffset = ModelLayout.DataOffset;

    private readonly HostProcessorProbe _probe;
    private readonly LinuxProcessModel _model;
    private readonly HostDifferences _differences;
    private readonly int _bitness;

    /// <summary>Prepares both sides.</summary>
    /// <param name="mode">What is analysed.</param>
    /// <exception cref="PlatformNotSupportedException">Not <see cref="IsPossible"/>.</exception>
    public HostComparison(AnalysisMode mode)
    {
        if (!IsPossible(mode)) throw new PlatformNotSupportedException("This host does not execute instructions of that mode.");
        var layout = new HostProbeLayout { Code = ModelLayout.CodePage, Data = ModelLayout.DataPage, Stack = ModelLayout.StackPage };
        Identity = HostIdentity.Read()!;
        _probe = new HostProcessorProbe(layout);
        _model = new LinuxProcessModel(layout, Identity.Umip);
        _differences = new HostDifferences(Identity);
        _bitness = mode == AnalysisMode.Long ? 64 : 32;
    }

    /// <summary>The host's processor.</summary>
    public HostIdentity Identity { get; }

    /// <summary>Child processes that were needed so far: more than one if instructions ended them.</summary>
    public int Starts => _probe.Starts;

    /// <summary>Can a program of this host be in the mode?</summary>
    public static bool IsPossible(AnalysisMode mode) => HostProcessorProbe.IsSupported && mode is AnalysisMode.Protected or AnalysisMode.Long;

    /// <summary>The report with an observation for each instruction. Where the host cannot be asked, the report's assumptions say why.</summary>
    /// <param name="report">The model's report.</param>
    /// <param name="mode">Its mode.</param>
    /// <param name="forms">The forms it was made from.</param>
    /// <param name="cancellation">Stops it.</param>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public static VirtualizabilityReport Complete(
        VirtualizabilityReport report, AnalysisMode mode, IReadOnlyList<ModelForm> forms, CancellationToken cancellation)
    {
        if (!HostProcessorProbe.IsSupported) return WithoutHost(report, "only on Linux x86-64 instructions are executed natively");
        if (!IsPossible(mode)) return WithoutHost(report, "no program of a 64-bit system is in this mode");
        try
        {
            using var comparison = new HostComparison(mode);
            ILookup<string, ModelForm> byNotation = forms.ToLookup(f => f.Form.Notation);
            List<InstructionVerdict> verdicts = [];
            foreach (InstructionVerdict verdict in report.Instructions)
            {
                cancellation.ThrowIfCancellationRequested();
                verdicts.Add(verdict with { Host = comparison.Observe(verdict.Forms.SelectMany(notation => byNotation[notation])) });
            }

            return report with
            {
                Instructions = verdicts,
                HostProcessor = comparison.Identity.Brand,
                HostUmip = comparison.Identity.Umip,
                Assumptions = [.. report.Assumptions, HostAssumption(mode, comparison.Identity.Umip)],
            };
        }
        catch (IOException e)
        {
            return WithoutHost(report, e.Message);
        }
    }

    private static VirtualizabilityReport WithoutHost(VirtualizabilityReport report, string reason) =>
        report with { Assumptions = [.. report.Assumptions, $"This host's processor was not asked: {reason}."] };

    private static string HostAssumption(AnalysisMode mode, bool umip) =>
        $"This host's processor executes the instructions in a process of Linux: {(mode == AnalysisMode.Long ? "64-bit" : "compatibility")} mode, CPL 3, IOPL 0, "
        + $"CR4.TSD 0, CR4.UMIP {(umip ? 1 : 0)}, Linux's descriptors. The model's prediction beside it is for the same state.";

    /// <summary>What the host did with an instruction. Null: there is nothing to execute.</summary>
    public HostObservation? Observe(IEnumerable<ModelForm> forms)
    {
        List<HostExperiment> experiments = [.. forms.SelectMany(Run)];
        if (experiments.Count == 0) return null;
        List<HostExperiment> different = [.. experiments.Where(e => e.Difference is not null)];

        // What tells most: a difference without an explanation, one with it, an experiment that completed, with a result, of the mode's operand size.
        HostExperiment shown = different.Find(e => e.Note is null) ?? different.FirstOrDefault()
            ?? experiments.OrderBy(e => e.Traps).ThenByDescending(e => e.ResultRank).ThenBy(e => e.Case.Code.Length).First();
        int traps = experiments.Count(e => e.Traps);
        List<string> details = [];
        if (different.Count != 0 || (traps != 0 && traps != experiments.Count)) details.Add($"{shown.Assembler}: {shown.Scenario}");
        if (traps != 0 && traps != experiments.Count) details.Add($"{traps} of {experiments.Count} experiments trapped");
        IEnumerable<string> notes = experiments.Select(e => e.Note).OfType<string>().Distinct();
        string? note = string.Join(" ", notes);
        return new HostObservation
        {
            Traps = shown.Traps,
            Result = shown.HostText + (details.Count == 0 ? "" : $" ({string.Join("; ", details)})"),
            Prediction = shown.ModelText,
            Agrees = different.Count == 0,
            Note = note.Length == 0 || different.Exists(e => e.Note is null) ? null : note,
        };
    }

    /// <summary>Executes a form with all its operands.</summary>
    public IEnumerable<HostExperiment> Run(ModelForm form)
    {
        for (int i = 0; i < form.States.Count; i++)
        {
            // A single step would trap before the instruction: nothing is to be seen of it.
            OperandState state = form.States[i];
            if ((state.Flags & RflagsBits.Tf) != 0) continue;
            HostCase hostCase = MakeCase(state);
            yield return Run(hostCase, form.Scenarios[i].Assembler, form.Scenarios[i].Name);
        }

        // The vectors of the analysis are closed to programs on Linux; this one is not.
        if (form.Code != Code.Int_imm8) yield break;
        yield return Run(MakeCase(form.States[0]) with { Code = new byte[] { 0xcd, 0x80 } }, "int 0x80", "the gate of Linux's 32-bit system calls");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _probe.Dispose();
        _model.Dispose();
    }

    private HostExperiment Run(HostCase hostCase, string assembler, string scenario)
    {
        Decoder decoder = Decoder.Create(_bitness, hostCase.Code.ToArray(), ModelLayout.CodePage + (ulong)ModelLayout.CodeOffset);
        decoder.Decode(out Instruction instruction);
        return _differences.Compare(new HostExperiment(assembler, scenario, hostCase, _probe.Execute(hostCase), _model.Execute(hostCase)), instruction);
    }

    private HostCase MakeCase(OperandState state)
    {
        byte[] data = new byte[HostProbeLayout.AreaBytes];
        byte[] stack = new byte[HostProbeLayout.AreaBytes];
        state.Data.CopyTo(data, ModelLayout.DataOffset);
        state.Stack.CopyTo(stack, ModelLayout.StackOffset);
        return new HostCase
        {
            Bitness = _bitness,
            Code = state.Bytes,
            CodeOffset = ModelLayout.CodeOffset,
            Registers = state.General,
            Flags = state.Flags | RflagsBits.AlwaysOne,
            Data = data,
            Stack = stack,
        };
    }
}
