using System.ComponentModel;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace Ringfence.Tests.Support;

/// <summary>
/// A test in one engine: the engine is the current one while the test runs, part of its name and identity, and its trait "Engine"
/// (<c>dotnet test --filter Engine=interpreter</c>). A <see cref="Xunit.SkipException"/> skips it.
/// </summary>
public class EngineTestCase : XunitTestCase
{
    private string _engine = "";

    /// <summary>For deserialization only.</summary>
    [EditorBrowsable(EditorBrowsableState.Never)]
    [Obsolete("Called by the deserializer.")]
    public EngineTestCase()
    {
    }

    /// <summary>Makes a test case.</summary>
    /// <param name="engine">The engine's name; empty: none.</param>
    /// <param name="diagnostics">Receives diagnostic messages.</param>
    /// <param name="display">What of the method is shown.</param>
    /// <param name="displayOptions">How it is shown.</param>
    /// <param name="method">The method.</param>
    /// <param name="arguments">Its arguments: a data row.</param>
    public EngineTestCase(
        string engine, IMessageSink diagnostics, TestMethodDisplay display, TestMethodDisplayOptions displayOptions, ITestMethod method, object[]? arguments = null)
        : base(diagnostics, display, displayOptions, method, arguments) => _engine = engine;

    /// <inheritdoc/>
    public sealed override async Task<RunSummary> RunAsync(
        IMessageSink diagnosticMessageSink, IMessageBus messageBus, object[] constructorArguments, ExceptionAggregator aggregator, CancellationTokenSource cancellationTokenSource)
    {
        // What an asynchronous method makes current ends with it.
        if (_engine.Length != 0) Engines.Enter(_engine);

        // Not disposed of: the bus would dispose of the one inside, which is the whole run's.
        SkippableTestMessageBus bus = new(messageBus, [typeof(Xunit.SkipException).FullName!]);
        RunSummary summary = await RunRowAsync(diagnosticMessageSink, bus, constructorArguments, aggregator, cancellationTokenSource);
        summary.Failed -= bus.SkippedCount;
        summary.Skipped += bus.SkippedCount;
        return summary;
    }

    /// <inheritdoc/>
    public override void Serialize(IXunitSerializationInfo data)
    {
        base.Serialize(data);
        data.AddValue("Engine", _engine);
    }

    /// <inheritdoc/>
    public override void Deserialize(IXunitSerializationInfo data)
    {
        // First, since the base initializes the test case, and its name contains the engine.
        _engine = data.GetValue<string>("Engine");
        base.Deserialize(data);
    }

    /// <summary>Runs the test, its engine being the current one.</summary>
    protected virtual Task<RunSummary> RunRowAsync(
        IMessageSink diagnostics, IMessageBus bus, object[] constructorArguments, ExceptionAggregator aggregator, CancellationTokenSource cancellation) =>
        base.RunAsync(diagnostics, bus, constructorArguments, aggregator, cancellation);

    /// <inheritdoc/>
    protected override void Initialize()
    {
        base.Initialize();
        if (_engine.Length != 0) Traits.Add("Engine", [_engine]);
    }

    /// <inheritdoc/>
    protected override string GetDisplayName(IAttributeInfo factAttribute, string displayName)
    {
        string name = base.GetDisplayName(factAttribute, displayName);
        return _engine.Length == 0 ? name : $"{name} [{_engine}]";
    }

    /// <inheritdoc/>
    protected override string GetUniqueID() => $"{base.GetUniqueID()} {_engine}";
}
