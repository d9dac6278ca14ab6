using System.CommandLine;
using Ringfence.Cli.Comparing;

namespace Ringfence.Cli.Commands;

/// <summary><c>ringfence compare</c>: runs one guest in several engines and sets what they did side by side.</summary>
internal sealed class CompareCommand : Command, IHasExamples
{
    private readonly GuestOptionSet _guest = new("Stops each engine's machine after that time; exit code 124.");
    private readonly Option<string> _engines = GuestOptionSet.Text("--engines", "NAMES", $"The engines, with commas between them. [default: {DefaultEngines}]");
    private readonly Option<string> _input = GuestOptionSet.Text("--input", "FILE", "Typed on COM1 in each engine, as it is. Without it standard input is, unless that is a terminal.");
    private readonly Option<string> _repeat = GuestOptionSet.Text("--repeat", "N", "Runs the guest that often in each engine and shows the shortest run. The first engine's first run warms the monitor up. [default: 1]");
    private readonly Option<bool> _noCount = new("--no-count") { Description = "Does not run engines that do not count instructions a second time, counting." };
    private readonly Option<string> _html = GuestOptionSet.Text("--html", "FILE", "Writes a page with plots that is one file.");
    private readonly Option<string> _json = GuestOptionSet.Text("--json", "FILE", "Writes everything as one JSON object.");
    private readonly Option<string> _format = GuestOptionSet.Text("--format", "FORMAT", "What is printed on standard output: text or json. [default: text]");
    private readonly Option<bool> _verbose = new("--verbose") { Description = "Shows what the guests print, on standard error, each line after the name of its engine." };

    public CompareCommand()
        : base("compare", "Runs the same guest to its power-off in each engine, one after the other, and sets times, instructions and exits side by side.")
    {
        Option[] options = [_engines, .. _guest.Machine, _guest.Timeout, _input, _repeat, _noCount, _html, _json, _format, _verbose];
        foreach (Option option in options) Add(option);
        SetAction(result => ComparisonRunner.Run(Read(result)));
    }

    /// <inheritdoc/>
    public string Examples => $"""
        Examples:
          ringfence compare
              the built-in guest; unless something is typed it gets these commands:
              {GuestInput.DefaultScript.TrimEnd('\n').Replace("\n", ", ", StringComparison.Ordinal)}
          printf 'primes 100000\npoweroff\n' | ringfence compare --html compare.html
              types two lines in each engine, writes a page as well
          ringfence compare --kernel vmlinuz --rootfs ./dir --input commands.txt --timeout 300
              Linux; the last of the commands powers off
          ringfence compare --engines interpreter,translator --no-count --format json
              one JSON object, without the second run that counts instructions

        Exit codes:
          0 every guest powered off    1 an error, or a guest ended otherwise    124 timeout
        """;

    private static string DefaultEngines => string.Join(',', EngineNames.Techniques.Where(EngineNames.IsSupported).Select(EngineNames.NameOf));

    private CompareOptions Read(ParseResult result)
    {
        CompareOptions options = new()
        {
            Command = Describe(result),
            Guest = _guest.Read(result),
            Engines = Values.Engines(result.GetValue(_engines) ?? DefaultEngines),
            Input = result.GetValue(_input),
            Repetitions = Values.Repetitions(result.GetValue(_repeat) ?? "1"),
            Count = !result.GetValue(_noCount),
            Verbose = result.GetValue(_verbose),
            PrintJson = Values.IsJson("--format", result.GetValue(_format) ?? "text"),
            JsonPath = result.GetValue(_json),
            HtmlPath = result.GetValue(_html),
        };
        if (options.Guest.Processors != 1 && options.Engines.Contains(Machines.EngineKind.LockStep)) throw new UserErrorException("--engines lockstep needs --cpus 1");
        Values.CheckReports(options.HtmlPath, options.JsonPath);
        return options;
    }

    private static string Describe(ParseResult result) =>
        string.Join(' ', result.Tokens.Select(token => token.Value).Select(word => word.Length > 0 && word.All(IsPlain) ? word : $"'{word}'").Prepend("ringfence"));

    private static bool IsPlain(char c) => char.IsLetterOrDigit(c) || "-_./,:=+@%".Contains(c, StringComparison.Ordinal);
}
