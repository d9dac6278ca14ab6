namespace Ringfence.Virtualizability;

/// <summary>How one technique of virtualization deals with an instruction.</summary>
/// <param name="Technique">Such as <c>binary translation</c>.</param>
/// <param name="Means">The kind: <c>definition</c>, <c>trap</c>, <c>inserted trap</c>, <c>in place</c>, <c>call-out</c>, <c>hypercall</c>, <c>intercept</c> or <c>none needed</c>.</param>
/// <param name="Detail">Half a sentence, such as the VT-x control that intercepts it.</param>
public sealed record Treatment(string Technique, string Means, string Detail);
