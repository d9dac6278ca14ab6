using Ringfence.Cli.Pages;
using Ringfence.Virtualizability;

namespace Ringfence.Cli.Analyzing;

/// <summary>A report as a page: the answer, every instruction with its experiments, and what each technique does with it.</summary>
internal sealed class AnalysisPage
{
    private const string Table = "instructions";
    private const string TreatmentTable = "treatments";

    private static readonly (string Rule, string Meaning)[] Rules =
    [
        ("3A", "changes or shows the processor's mode"),
        ("3B", "reads or changes sensitive registers or memory, such as a clock or the interrupt flag"),
        ("3C", "refers to the protection system, the memory system or the address relocation system"),
        ("3D", "is input or output"),
    ];

    private readonly VirtualizabilityReport _report;
    private readonly UmipContrast? _contrast;
    private readonly IReadOnlyList<string> _techniques;
    private readonly bool _hasHost;
    private readonly HtmlPage _page;

    private AnalysisPage(VirtualizabilityReport report, UmipContrast? contrast, string command)
    {
        _report = report;
        _contrast = contrast;
        _techniques = report.Techniques();
        _hasHost = report.HostProcessor is not null;
        _page = new HtmlPage($"{(report.IsVirtualizable ? "Virtualizable" : "Not virtualizable")}: {report.Machine}, {report.Mode}") { Command = command };
        _page.AddStyle("analysis.css");
    }

    private HtmlBuilder Body => _page.Body;

    /// <summary>The page in UTF-8.</summary>
    /// <param name="report">The report.</param>
    /// <param name="contrast">What it is with user-mode instruction prevention the other way; null if that makes no difference.</param>
    /// <param name="command">The command that made it.</param>
    public static byte[] Create(VirtualizabilityReport report, UmipContrast? contrast, string command)
    {
        AnalysisPage page = new(report, contrast, command);
        page.AddVerdict();
        page.AddFigures();
        page.AddMap();
        page.AddInstructions();
        page.AddTreatments();
        page.AddAssumptions();
        return page._page.ToBytes();
    }

    private static string NameOf(InstructionClass kind) => kind switch
    {
        InstructionClass.Offender => "offender",
        InstructionClass.Privileged => "privileged",
        _ => "innocuous",
    };

    private static string Plural(int count, string what) => count == 1 ? what : what + "s";

    private void AddVerdict() => Body.Add($"""
        <section class="verdict">
        <h1>Can trap and emulate alone virtualize this processor?</h1>
        <p class="word {(_report.IsVirtualizable ? "good" : "bad")}">{(_report.IsVirtualizable ? "Yes" : "No")}</p>
        <div><p class="lead">{_report.Verdict}</p>{(_contrast is null ? new HtmlBuilder() : new HtmlBuilder().Add($"<p>{_contrast.ToString()}</p>"))}
        <p class="quiet">{_report.Machine}, {_report.Mode}, user-mode instruction prevention {(_report.Umip ? "on" : "off")}</p></div>
        </section>

        """);

    private void AddFigures()
    {
        int offenders = _report.Count(InstructionClass.Offender);
        Body.Add($"""
            <dl class="figures">
            <div><dt>sensitive and not privileged</dt><dd class="{(offenders > 0 ? "bad" : "good")}">{offenders}</dd></div>
            <div><dt>sensitive</dt><dd>{_report.Instructions.Count(i => i.IsSensitive)}</dd></div>
            <div><dt>privileged</dt><dd>{_report.Instructions.Count(i => i.IsPrivileged)}</dd></div>
            <div><dt>innocuous</dt><dd>{_report.Count(InstructionClass.Innocuous)}</dd></div>
            <div><dt>forms tried</dt><dd>{_report.Forms:N0}</dd></div>
            <div><dt>executions</dt><dd>{_report.Executions:N0}</dd></div>
            <div><dt>seconds</dt><dd>{_report.Duration.TotalSeconds:N1}</dd></div>

            """);
        if (_hasHost)
        {
            int observed = _report.Instructions.Count(i => i.Host is not null);
            int different = _report.Disagreements().Count();
            // A difference that is known has a note.
            string word = different == 0 ? "good" : _report.Disagreements().All(i => i.Host!.Note is not null) ? "warn" : "bad";
            Body.Add($"""<div><dt>on this host as the model says</dt><dd class="{word}">{observed - different} <small>of {observed}</small></dd></div>{"\n"}""");
        }

        Body.Add($"</dl>\n");
        if (_hasHost) Body.Add($"""<p class="quiet">This host: {_report.HostProcessor}{_report.HostUmip switch { true => ", user-mode instruction prevention on", false => ", user-mode instruction prevention off", null => "" }}.</p>{"\n"}""");
    }

    private void AddMap()
    {
        Body.Add($"""
            <section class="panel"><h2>One square for each instruction</h2>
            <p class="quiet">Popek and Goldberg's theorem: a monitor by trap and emulate alone can be built if every sensitive instruction is privileged.</p>
            <div class="map" aria-hidden="true">
            """);
        foreach (InstructionVerdict instruction in _report.Instructions) Body.Add($"""<i class="{NameOf(instruction.Class())}" title="{instruction.Instruction}"></i>""");
        Body.Add($"""
            </div>
            <ul class="legend map-legend"><li class="offender">sensitive, not privileged: {_report.Count(InstructionClass.Offender)}</li><li class="privileged">privileged: {_report.Count(InstructionClass.Privileged)}</li><li class="innocuous">innocuous: {_report.Count(InstructionClass.Innocuous)}</li></ul>
            </section>

            """);
    }

    private void AddInstructions()
    {
        string first = _report.Offenders.Any() ? "offender" : "sensitive";
        Body.Add($"""
            <section class="panel"><h2 id="h-{Table}">Instructions</h2>{(_report.DescribeLiterature() is { } literature ? new HtmlBuilder().Add($"<p class=\"quiet\">The offenders are sensitive and not privileged. {literature}</p>") : new HtmlBuilder())}
            <form class="bar" data-filter="{Table}">
            <input type="search" aria-label="Search instructions" placeholder="Name, register, words" autocomplete="off" spellcheck="false">
            <fieldset class="segments"><legend>Class</legend>
            """);
        foreach ((string value, string label) in new[] { ("offender", "Offenders"), ("sensitive", "Sensitive"), ("privileged", "Privileged"), ("innocuous", "Innocuous"), ("", "All") })
            Body.Add($"""<label><input type="radio" name="class" value="{value}"{(value == first ? Checked : new HtmlBuilder())}>{label}</label>""");
        Body.Add($"</fieldset>\n");
        if (_hasHost) Body.Add($"""<select name="host" aria-label="Host"><option value="">Any answer of the host</option><option value="agrees">As the model says</option><option value="differs">Not as the model says</option><option value="none">Not asked</option></select>{"\n"}""");
        Body.Add($"""
            <output data-shown="{Table}"></output></form>
            <div class="scroll" tabindex="0" role="region" aria-labelledby="h-{Table}"><table class="data cards" id="{Table}" data-sortable>
            <thead><tr><th scope="col" data-sort="text">Instruction</th><th scope="col" data-sort="text">Sensitive</th><th scope="col" data-sort="text">Privileged</th><th scope="col" data-sort="text">Rule</th><th scope="col" data-sort="text">Touches</th><th scope="col">Explanation</th>{(_hasHost ? HostHeader : new HtmlBuilder())}</tr></thead>

            """);
        for (int i = 0; i < _report.Instructions.Count; i++) AddInstruction(_report.Instructions[i], i);
        Body.Add($"""
            </table></div>
            <p class="quiet" data-empty="{Table}" hidden>No instruction is like that.</p>
            <dl class="rules">
            """);
        foreach ((string rule, string meaning) in Rules) Body.Add($"<div><dt>{rule}</dt><dd>{meaning}</dd></div>");
        Body.Add($"""
            </dl><p class="quiet">Rules: what an instruction may not do without trapping, by Robin and Irvine, <cite>Analysis of the Intel Pentium's Ability to Support a Secure Virtual Machine Monitor</cite> (2000).</p>
            </section>

            """);
    }

    private static HtmlBuilder Checked => new HtmlBuilder().Add($" checked");

    private static HtmlBuilder HostHeader => new HtmlBuilder().Add($"""<th scope="col" data-sort="text">This host, CPL 3</th>""");

    private void AddInstruction(InstructionVerdict instruction, int number)
    {
        InstructionClass kind = instruction.Class();
        string host = instruction.Host switch { null => "none", { Agrees: true } => "agrees", _ => "differs" };
        Body.Add($"""
            <tbody id="i-{number}" data-class="{NameOf(kind)}{(instruction.IsSensitive ? " sensitive" : "")}{(instruction.IsPrivileged && kind != InstructionClass.Privileged ? " privileged" : "")}" data-host="{host}"><tr class="item">
            <th scope="row" data-value="{instruction.Instruction}"><code>{instruction.Instruction}</code>{Literature(instruction)}</th>
            <td data-label="Sensitive">{(instruction.IsSensitive ? instruction.Sensitivity() : "no")}</td>
            <td data-label="Privileged"><span class="pill {(instruction.IsPrivileged ? "note" : instruction.IsSensitive ? "bad" : "quiet")}">{(instruction.IsPrivileged ? "yes" : "no")}</span></td>
            <td data-label="Rule"{(instruction.Rule.Length == 0 ? Empty : new HtmlBuilder())}>{instruction.Rule}</td>
            <td data-label="Touches"{(instruction.Touches.Count == 0 ? Empty : new HtmlBuilder())}>{string.Join(", ", instruction.Touches)}</td>
            <td data-label="Explanation" class="explanation"><p>{instruction.Explanation}</p><button type="button" data-unfold="more-{number}">{UnfoldLabel(instruction)}</button></td>

            """);
        if (_hasHost) Body.Add($"""<td data-label="This host" class="host" data-value="{host}">{Host(instruction.Host)}</td>{"\n"}""");
        Body.Add($"""</tr><tr class="unfolded" id="more-{number}"><td colspan="{(_hasHost ? 7 : 6)}"><div class="more">{"\n"}""");
        Body.Add($"<p><span class=\"quiet\">{Plural(instruction.Forms.Count, "Form")}:</span> ");
        for (int i = 0; i < instruction.Forms.Count; i++) Body.Add($"{(i == 0 ? "" : ", ")}<code>{instruction.Forms[i]}</code>");
        Body.Add($"</p>\n");
        foreach (Witness witness in instruction.Witnesses) Body.Add($"{WitnessCard.Create(witness)}");
        if (instruction.Host is { } observation)
        {
            Body.Add($"""<p><span class="quiet">This host:</span> {observation.Result}. <span class="quiet">The model:</span> {observation.Prediction}.</p>""");
            if (observation.Note is { } note) Body.Add($"""<p class="quiet">{note}</p>""");
        }

        Body.Add($"</div></td></tr></tbody>\n");
    }

    private static HtmlBuilder Empty => new HtmlBuilder().Add($" class=\"empty\"");

    private static string UnfoldLabel(InstructionVerdict instruction) => instruction.Witnesses.Count switch
    {
        0 => Plural(instruction.Forms.Count, "form"),
        1 => "1 experiment",
        int count => $"{count} experiments",
    };

    private HtmlBuilder Literature(InstructionVerdict instruction) => (instruction.Literature, instruction.IsOffender && _report.HasUserMode()) switch
    {
        ({ } name, _) when name == instruction.Instruction => new HtmlBuilder().Add($"""<small class="literature">in the literature</small>"""),
        ({ } name, _) => new HtmlBuilder().Add($"""<small class="literature">in the literature: {name}</small>"""),
        (null, true) => new HtmlBuilder().Add($"""<small class="literature">beyond the literature</small>"""),
        _ => new HtmlBuilder(),
    };

    private static HtmlBuilder Host(HostObservation? host) => host switch
    {
        null => new HtmlBuilder().Add($"""<span class="quiet">not asked</span>"""),
        { Agrees: true } => new HtmlBuilder().Add($"""<div><p>{InstructionClasses.ShortResult(host.Result)}</p><small class="good">as the model says</small></div>"""),
        _ => new HtmlBuilder().Add($"""<div><p>{InstructionClasses.ShortResult(host.Result)}</p><small class="{(host.Note is null ? "bad" : "warn")}">the model says: {InstructionClasses.ShortResult(host.Prediction)}</small></div>"""),
    };

    private void AddTreatments()
    {
        if (_techniques.Count == 0) return;
        Body.Add($"""
            <section class="panel"><h2 id="h-{TreatmentTable}">What each technique does with them</h2>
            <form class="bar" data-filter="{TreatmentTable}"><fieldset class="segments"><legend>Class of instructions</legend>
            """);
        string first = _report.Offenders.Any() ? "offender" : "";
        foreach ((string value, string label) in new[] { ("offender", "Offenders"), ("privileged", "Privileged"), ("", "Both") })
            Body.Add($"""<label><input type="radio" name="class" value="{value}"{(value == first ? Checked : new HtmlBuilder())}>{label}</label>""");
        Body.Add($"""
            </fieldset><output data-shown="{TreatmentTable}"></output></form>
            <div class="scroll" tabindex="0" role="region" aria-labelledby="h-{TreatmentTable}"><table class="data cards matrix" id="{TreatmentTable}">
            <thead><tr><th scope="col">Instruction</th>
            """);
        foreach (string technique in _techniques) Body.Add($"""<th scope="col">{technique}</th>""");
        Body.Add($"</tr></thead><tbody>\n");
        for (int i = 0; i < _report.Instructions.Count; i++)
        {
            InstructionVerdict instruction = _report.Instructions[i];
            if (instruction.Treatments.Count == 0) continue;
            Body.Add($"""<tr class="item" data-class="{NameOf(instruction.Class())}"><th scope="row"><a href="#i-{i}"><code>{instruction.Instruction}</code></a></th>""");
            foreach (string technique in _techniques)
            {
                Treatment? treatment = instruction.Treatments.FirstOrDefault(t => t.Technique == technique);
                if (treatment is null) Body.Add($"""<td data-label="{technique}" class="quiet">-</td>""");
                else Body.Add($"""<td data-label="{technique}"><div><span class="pill {PillOf(treatment.Means)}">{treatment.Means}</span><small>{treatment.Detail}</small></div></td>""");
            }

            Body.Add($"</tr>\n");
        }

        Body.Add($"</tbody></table></div></section>\n");
    }

    private static string PillOf(string means) => means switch
    {
        "in place" or "none needed" => "good",
        "trap" or "intercept" => "note",
        "inserted trap" or "hypercall" or "call-out" => "warn",
        _ => "quiet",
    };

    private void AddAssumptions()
    {
        if (_report.Assumptions.Count == 0) return;
        Body.Add($"""<section class="panel"><h2>What the experiments assume</h2><ul class="assumptions">""");
        foreach (string assumption in _report.Assumptions) Body.Add($"<li>{assumption}</li>");
        Body.Add($"</ul></section>\n");
    }
}
