using Ringfence.Cli.Commands;
using Ringfence.Cli.Host;
using Ringfence.Cli.Running;
using Ringfence.Machines;

namespace Ringfence.Cli.Comparing;

/// <summary>Runs the same guest in each engine, one after the other, and reports.</summary>
internal sealed class ComparisonRunner
{
    private const int ShownLines = 12;

    private readonly CompareOptions _options;
    private readonly MachineOptions _machine;
    private readonly GuestInput _input;
    private readonly TaskCompletionSource<RunEnd> _interruption = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private ComparisonRunner(CompareOptions options)
    {
        _options = options;
        _machine = MachineFactory.OptionsFor(options.Guest);
        _input = GuestInput.Read(options);
    }

    /// <summary>Compares.</summary>
    /// <returns>The exit code.</returns>
    public static int Run(CompareOptions options)
    {
        // Opened first: long runs must not end with the news that their figures cannot be written.
        using ReportFile? json = options.JsonPath is { } jsonPath ? new ReportFile("--json", jsonPath) : null;
        using ReportFile? html = options.HtmlPath is { } htmlPath ? new ReportFile("--html", htmlPath) : null;
        ComparisonRunner runner = new(options);
        if (runner.RunAll() is not { } comparison) return runner._interruption.Task.Result.ExitCode;
        json?.Write(ComparisonJson.Create(comparison));
        html?.Write(ComparisonPage.Create(comparison));
        Print(comparison);
        return runner.Report(comparison);
    }

    private static void Print(Comparison comparison)
    {
        try
        {
            if (comparison.Options.PrintJson) StandardStream.Write(StandardStream.Output, ComparisonJson.Create(comparison));
            else ComparisonText.Print(comparison);
        }
        catch (IOException error)
        {
            throw new UserErrorException($"standard output: {error.Message}");
        }
    }

    /// <returns>Null if the user or the host wants an end.</returns>
    private Comparison? RunAll()
    {
        // A second signal ends the process at once.
        List<IDisposable> handlers = EndingSignals.Handle(number => _interruption.TrySetResult(new RunEnd("stopped", ExitCodes.Signal + number)));
        try
        {
            List<EngineRun> runs = [];
            foreach (EngineKind engine in _options.Engines)
            {
                runs.Add(Run(engine));
                if (_interruption.Task.IsCompleted) return null;
            }

            return new Comparison(_options, _input, runs);
        }
        finally
        {
            foreach (IDisposable handler in handlers) handler.Dispose();
        }
    }

    private EngineRun Run(EngineKind engine)
    {
        string name = EngineNames.NameOf(engine);
        bool counts = EngineNames.CountsInstructions(engine);
        EngineRun run = RunTimed(engine, name, counts);
        if (counts) return run with { Instructions = run.Statistics.Instructions };
        if (!_options.Count || !run.IsComplete || _interruption.Task.IsCompleted) return run;
        EngineRun counted = Run(name, _machine with { Engine = engine, CountInstructions = true }, counts: true, verbose: false);
        return counted.IsComplete
            ? run with { Instructions = counted.Statistics.Instructions, IsCountedApart = true }
            : run with { CountFailure = counted.End };
    }

    /// <summary>The shortest of the runs asked for, or the first one that does not come to the guest's power-off.</summary>
    private EngineRun RunTimed(EngineKind engine, string name, bool counts)
    {
        EngineRun? shortest = null;
        for (int i = 0; i < _options.Repetitions; i++)
        {
            EngineRun run = Run(name, _machine with { Engine = engine, TimeExits = true }, counts, _options.Verbose && i == 0);
            if (!run.IsComplete) return run;
            if (shortest is null || run.WallTime < shortest.WallTime) shortest = run;
        }

        return shortest!;
    }

    private EngineRun Run(string name, MachineOptions options, bool counts, bool verbose)
    {
        // What the machine before left behind is not this one's to clean up.
        GC.Collect();
        using VirtualMachine machine = MachineFactory.Create(options);
        GuestLines? lines = verbose ? new GuestLines(line => Messages.Write($"{name}| {line}")) : null;
        if (lines is not null) machine.Serial[0].OutputReceived += output => lines.Take(output.Span);
        machine.Serial[0].Write(_input.Bytes);
        machine.Start();
        RunEnd end;
        using (verbose ? null : new StatusLine(() => DescribeProgress(options.CountInstructions ? $"{name}, counting instructions" : name, machine.Statistics, counts)))
            end = RunEnd.Await(machine, _options.Guest.Timeout, _interruption.Task);
        lines?.End();
        return new EngineRun
        {
            Engine = name,
            End = end,
            Statistics = machine.Statistics,
            LastLines = [.. GuestLines.Split(machine.Serial[0].LastLines(ShownLines)).TakeLast(ShownLines)],
        };
    }

    private static string DescribeProgress(string what, MachineStatistics statistics, bool counts)
    {
        string done = counts
            ? FormattableString.Invariant($"{statistics.Instructions / 1e6:N0} million instructions")
            : FormattableString.Invariant($"{statistics.Exits.Values.Sum():N0} exits");
        return FormattableString.Invariant($"{what}: {statistics.WallTime.TotalSeconds:N1} s, {done}");
    }

    /// <summary>Says of each engine that did not come to the guest's power-off what there is to say.</summary>
    private int Report(Comparison comparison)
    {
        int exitCode = ExitCodes.Success;
        foreach (EngineRun run in comparison.Runs.Where(run => !run.IsComplete))
        {
            if (exitCode != ExitCodes.UserError) exitCode = run.End.ExitCode == ExitCodes.Timeout ? ExitCodes.Timeout : ExitCodes.UserError;
            string reason = run.End.ExitCode == ExitCodes.Timeout ? run.End.Message : $"the guest did not power off but ended by {run.End.Reason}";
            Messages.Error($"{run.Engine}: {reason}");
            if (run.End.ExitCode != ExitCodes.Timeout && run.End.Message.Length > 0) Messages.Write(run.End.Message);
            if (_options.Verbose) continue;
            foreach (string line in run.LastLines) Messages.Write($"{run.Engine}| {line}");
        }

        if (exitCode != ExitCodes.Success && _input.Bytes.Length == 0)
            Messages.Write("Nothing was typed: a guest that waits for somebody gets its commands by --input FILE or on standard input.");
        return exitCode;
    }
}
