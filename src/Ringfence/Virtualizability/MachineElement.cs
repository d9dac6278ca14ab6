namespace Ringfence.Virtualizability;

/// <summary>One part of a machine's state that an experiment looks at.</summary>
/// <param name="Name">Such as <c>GDTR base</c>.</param>
/// <param name="Class">What it is to a program.</param>
/// <param name="Register">The register or memory it is part of, such as <c>GDTR</c>.</param>
public sealed record MachineElement(string Name, ElementClass Class, string Register);
