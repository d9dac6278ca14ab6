using Xunit.Sdk;

namespace Ringfence.Tests.Support;

/// <summary>
/// A test that runs once for each engine of <see cref="Engines.Names"/>. It may skip itself with <see cref="Skip"/>.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
[XunitTestCaseDiscoverer("Ringfence.Tests.Support.EngineFactDiscoverer", "Ringfence.Tests")]
public sealed class EngineFactAttribute : FactAttribute;
