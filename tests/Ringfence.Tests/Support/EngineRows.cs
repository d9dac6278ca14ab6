using Xunit.Abstractions;

namespace Ringfence.Tests.Support;

/// <summary>The engines that a test method runs for.</summary>
internal static class EngineRows
{
    /// <summary>The names, or the empty one alone for a class without an engine.</summary>
    public static IEnumerable<string> Of(ITestMethod method) =>
        method.TestClass.Class.GetCustomAttributes(typeof(NoEngineAttribute)).Any() ? [""] : Engines.Names;
}
