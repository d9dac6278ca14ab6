using System.Diagnostics;
using System.Globalization;
using System.Text;
using Ringfence.Cli.Commands;
using Ringfence.Cli.Host;
using Ringfence.Cli.Running;
using Ringfence.Virtualizability;

namespace Ringfence.Cli.Analyzing;

/// <summary>Runs an analysis and shows its report.</summary>
internal static class AnalysisRunner
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    /// <summary>Analyses.</summary>
    /// <returns>The exit code.</returns>
    public static int Run(AnalyzeOptions options)
    {
        // Opened first: an analysis must not end with the news that its report cannot be written.
        using ReportFile? html = options.HtmlPath is { } htmlPath ? new ReportFile("--html", htmlPath) : null;
        using ReportFile? json = options.JsonPath is { } jsonPath ? new ReportFile("--json", jsonPath) : null;
        using CancellationTokenSource cancellation = new();
        TaskCompletionSource<int> interruption = new(TaskCreationOptions.RunContinuationsAsynchronously);
        // A second signal ends the process at once.
        List<IDisposable> handlers = EndingSignals.Handle(interruption.TrySetResult);
        try
        {
            Task<(VirtualizabilityReport Report, UmipContrast? Contrast)> analysis = Task.Run(() => Analyze(options.Analysis, cancellation.Token));
            Task.WhenAny(analysis, interruption.Task).GetAwaiter().GetResult();
            if (interruption.Task.IsCompleted)
            {
                // What it has begun it ends itself, and the line on the terminal goes; if that takes too long, the process's end does it.
                cancellation.Cancel();
                Task.WhenAny(analysis, Task.Delay(Patience)).GetAwaiter().GetResult();
                return ExitCodes.Signal + interruption.Task.Result;
            }

            (VirtualizabilityReport report, UmipContrast? contrast) = analysis.GetAwaiter().GetResult();
            html?.Write(AnalysisPage.Create(report, contrast, options.Command));
            json?.Write(AnalysisJson.Create(report, contrast));
            Print(report, contrast, options);
            return ExitCodes.Success;
        }
        finally
        {
            foreach (IDisposable handler in handlers) handler.Dispose();
        }
    }

    private static (VirtualizabilityReport Report, UmipContrast? Contrast) Analyze(AnalysisOptions options, CancellationToken cancellation)
    {
        Stopwatch watch = Stopwatch.StartNew();
        LatestShare share = new(options.Model ? 2 : 1);
        using StatusLine status = new(() => string.Create(CultureInfo.InvariantCulture, $"analyzing: {100 * share.Value:N0} %, {watch.Elapsed.TotalSeconds:N0} s"));
        VirtualizabilityReport report = VirtualizabilityAnalysis.Run(options, share, cancellation);
        if (!options.Model) return (HostReport.Create(report), null);
        share.Next();
        VirtualizabilityReport other = VirtualizabilityAnalysis.Run(options with { Umip = !options.Umip, Host = false }, share, cancellation);
        return (report, UmipContrast.Create(report, other));
    }

    private static void Print(VirtualizabilityReport report, UmipContrast? contrast, AnalyzeOptions options)
    {
        byte[] output = options.PrintJson
            ? AnalysisJson.Create(report, contrast)
            : Encoding.UTF8.GetBytes(new AnalysisText(report, contrast, options.All).ToText(Terminal.IsOutputTerminal));
        try
        {
            StandardStream.Write(StandardStream.Output, output);
        }
        catch (IOException error)
        {
            throw new UserErrorException($"standard output: {error.Message}");
        }
    }

    // Progress<T> reports on other threads, later ones perhaps before earlier ones.
    private sealed class LatestShare(int runs) : IProgress<double>
    {
        private double _value;
        private int _run;

        public double Value => Volatile.Read(ref _value);

        public void Report(double value) => Volatile.Write(ref _value, (_run + value) / runs);

        public void Next() => _run++;
    }
}
