namespace Ringfence.Virtualizability;

/// <summary>Two environments that look the same to a program and differ in one component.</summary>
/// <param name="First">Index of the first; of a pair that differs in the mode the supervisor's.</param>
/// <param name="Second">Index of the second; of a pair that differs in the mode the user's.</param>
/// <param name="Class">What the component is. <see cref="ElementClass.Mode"/>: the pair decides about privilege.</param>
/// <param name="Component">The register or memory in which they differ, such as <c>GDTR</c>.</param>
public sealed record EnvironmentPair(int First, int Second, ElementClass Class, string Component);
