using System.CommandLine;
using Ringfence.Cli.Analyzing;
using Ringfence.Virtualizability;

namespace Ringfence.Cli.Commands;

/// <summary><c>ringfence analyze</c>: which instructions forbid a monitor by trap and emulate alone, by experiment.</summary>
internal sealed class AnalyzeCommand : Command, IHasExamples
{
    private readonly Option<string> _target = Text("--target", "WHAT", $"What is experimented on: model (the processor that guests run on), host (this computer's own: what traps there) or both beside each other. [default: {DefaultTarget}]");
    private readonly Option<string> _mode = Text("--mode", "MODE", "The mode: real, protected, vm86 or long. [default: protected]");
    private readonly Option<string> _umip = Text("--umip", "SWITCH", "User-mode instruction prevention (CR4.UMIP): on or off. [default: off]");
    private readonly Option<bool> _all = new("--all") { Description = "Lists innocuous instructions, too." };
    private readonly Option<string> _format = Text("--format", "FORMAT", "What is printed on standard output: text or json. [default: text]");
    private readonly Option<string> _html = Text("--html", "FILE", "Writes a page with tables and experiments that is one file.");
    private readonly Option<string> _json = Text("--json", "FILE", "Writes everything as one JSON object.");

    public AnalyzeCommand()
        : base("analyze", "Finds out by experiment which instructions are sensitive and which are privileged, and whether trap and emulate alone can virtualize the processor (Popek and Goldberg, 1974).")
    {
        Option[] options = [_target, _mode, _umip, _all, _format, _html, _json];
        foreach (Option option in options) Add(option);
        SetAction(result => AnalysisRunner.Run(Read(result)));
    }

    /// <inheritdoc/>
    public string Examples => """
        Examples:
          ringfence analyze
              32-bit protected mode: the processor model, and this host beside it
          ringfence analyze --umip on --html analyze.html
              with user-mode instruction prevention the list is shorter; as a page as well
          ringfence analyze --mode long --target model --all
              64-bit mode, the model alone, every instruction
          ringfence analyze --format json | jq '[.instructions[] | select(.offender) | .instruction]'
              the offenders' names

        Classes:
          privileged           traps in user mode and does not in supervisor mode
          control sensitive    changes mode, resource map or I/O without a trap
          behaviour sensitive  its result depends on the mode or on where things really lie
          innocuous            neither
        """;

    private static string DefaultTarget => IsHostSupported ? "both" : "model";

    private static bool IsHostSupported => OperatingSystem.IsLinux() && System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.X64;

    private static Option<string> Text(string name, string value, string description) =>
        new(name) { HelpName = value, Description = description, Arity = ArgumentArity.ExactlyOne };

    private AnalyzeOptions Read(ParseResult result)
    {
        string target = result.GetValue(_target) ?? DefaultTarget;
        string mode = result.GetValue(_mode) ?? "protected";
        string umip = result.GetValue(_umip) ?? "off";
        (bool model, bool host) = Values.AnalysisTarget(target);
        if (host && !IsHostSupported) throw new UserErrorException($"--target {target} needs x86-64 Linux");
        if (!model && Values.AnalysisMode(mode) is AnalysisMode.Real or AnalysisMode.Virtual8086) throw new UserErrorException($"--target host: no program of a 64-bit system is in --mode {mode} (protected or long)");
        AnalyzeOptions options = new()
        {
            Analysis = new AnalysisOptions { Mode = Values.AnalysisMode(mode), Umip = Values.Switch("--umip", umip), Model = model, Host = host },
            PrintJson = Values.IsJson("--format", result.GetValue(_format) ?? "text"),
            All = result.GetValue(_all),
            JsonPath = result.GetValue(_json),
            HtmlPath = result.GetValue(_html),
            Command = $"ringfence analyze --target {target} --mode {mode} --umip {umip}",
        };
        Values.CheckReports(options.HtmlPath, options.JsonPath);
        return options;
    }
}
