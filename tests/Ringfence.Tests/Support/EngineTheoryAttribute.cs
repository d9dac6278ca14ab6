using Xunit.Sdk;

namespace Ringfence.Tests.Support;

/// <summary>
/// A test that runs for each of its data rows once for each engine of <see cref="Engines.Names"/>. It may skip itself with <see cref="Skip"/>.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
[XunitTestCaseDiscoverer("Ringfence.Tests.Support.EngineTheoryDiscoverer", "Ringfence.Tests")]
public sealed class EngineTheoryAttribute : TheoryAttribute;
