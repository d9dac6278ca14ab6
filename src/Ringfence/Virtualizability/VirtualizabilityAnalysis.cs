using System.Diagnostics;
using Ringfence.Virtualizability.HostProcessors;
using Ringfence.Virtualizability.Model;

namespace Ringfence.Virtualizability;

/// <summary>Popek and Goldberg's (1974) question, asked of Ringfence's processor by experiment.</summary>
public static class VirtualizabilityAnalysis
{
    /// <summary>Runs the experiments.</summary>
    /// <param name="options">What is asked.</param>
    /// <param name="progress">Receives the share that is done, from 0 to 1.</param>
    /// <param name="cancellation">Stops it.</param>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public static VirtualizabilityReport Run(AnalysisOptions options, IProgress<double>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        long start = Stopwatch.GetTimestamp();
        using var model = new ProcessorModel(options.Mode, options.Umip);
        using var notes = new ProcessorNotes(model, options.Mode);
        VirtualizabilityReport report = ReportBuilder.Build(model, options.Umip, notes, progress, cancellation);
        if (options.Host) report = HostComparison.Complete(report, options.Mode, model.ModelForms, cancellation);
        return report with { Duration = Stopwatch.GetElapsedTime(start) };
    }

    /// <summary>The same for any machine that can be experimented on.</summary>
    /// <param name="model">The machine.</param>
    /// <param name="progress">Receives the share that is done, from 0 to 1.</param>
    /// <param name="cancellation">Stops it.</param>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public static VirtualizabilityReport Run(IMachineModel model, IProgress<double>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        return ReportBuilder.Build(model, umip: false, GeneralNotes.Instance, progress, cancellation);
    }

    /// <summary>Runs the experiments of witnesses again.</summary>
    /// <param name="options">The options with which they were found.</param>
    /// <param name="witnesses">The witnesses.</param>
    /// <returns>Those that do not show the same.</returns>
    /// <exception cref="ArgumentException">A witness belongs to other options.</exception>
    public static IReadOnlyList<Witness> Replay(AnalysisOptions options, IEnumerable<Witness> witnesses)
    {
        ArgumentNullException.ThrowIfNull(options);
        using var model = new ProcessorModel(options.Mode, options.Umip);
        var classifier = new SensitivityClassifier(model);
        return [.. witnesses.Where(w => !classifier.Replay(w))];
    }
}
