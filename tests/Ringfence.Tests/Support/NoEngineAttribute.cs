namespace Ringfence.Tests.Support;

/// <summary>A class whose tests run in no engine of ours, though it inherits some that do: they run once, and name no engine.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class NoEngineAttribute : Attribute;
