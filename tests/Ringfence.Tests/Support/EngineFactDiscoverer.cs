using Xunit.Abstractions;
using Xunit.Sdk;

namespace Ringfence.Tests.Support;

/// <summary>Finds the test cases of <see cref="EngineFactAttribute"/>.</summary>
public sealed class EngineFactDiscoverer(IMessageSink diagnostics) : FactDiscoverer(diagnostics)
{
    /// <inheritdoc/>
    public override IEnumerable<IXunitTestCase> Discover(ITestFrameworkDiscoveryOptions discoveryOptions, ITestMethod testMethod, IAttributeInfo factAttribute)
    {
        // A mistake in the method's signature is reported once.
        IXunitTestCase[] cases = [.. base.Discover(discoveryOptions, testMethod, factAttribute)];
        return cases is [ExecutionErrorTestCase] ? cases : EngineRows.Of(testMethod).Select(engine => new EngineTestCase(
            engine, DiagnosticMessageSink, discoveryOptions.MethodDisplayOrDefault(), discoveryOptions.MethodDisplayOptionsOrDefault(), testMethod));
    }
}
