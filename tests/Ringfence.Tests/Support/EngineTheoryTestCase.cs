using System.ComponentModel;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace Ringfence.Tests.Support;

/// <summary>All rows of a theory in one engine, where the rows are only known when the test runs: not all of their data can be serialized.</summary>
public sealed class EngineTheoryTestCase : EngineTestCase
{
    /// <summary>For deserialization only.</summary>
    [EditorBrowsable(EditorBrowsableState.Never)]
    [Obsolete("Called by the deserializer.")]
    public EngineTheoryTestCase()
    {
    }

    /// <inheritdoc cref="EngineTestCase(string, IMessageSink, TestMethodDisplay, TestMethodDisplayOptions, ITestMethod, object[])"/>
    public EngineTheoryTestCase(
        string engine, IMessageSink diagnostics, TestMethodDisplay display, TestMethodDisplayOptions displayOptions, ITestMethod method)
        : base(engine, diagnostics, display, displayOptions, method)
    {
    }

    /// <inheritdoc/>
    protected override Task<RunSummary> RunRowAsync(
        IMessageSink diagnostics, IMessageBus bus, object[] constructorArguments, ExceptionAggregator aggregator, CancellationTokenSource cancellation) =>
        new XunitTheoryTestCaseRunner(this, DisplayName, SkipReason, constructorArguments, diagnostics, bus, aggregator, cancellation).RunAsync();
}
