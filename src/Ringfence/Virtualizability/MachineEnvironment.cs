namespace Ringfence.Virtualizability;

/// <summary>A state of everything that is not the program's: mode, sensitive registers, resource map, I/O.</summary>
/// <param name="Name">Such as <c>CPL 3, IF 0</c>.</param>
/// <param name="IsUser">It is in user mode.</param>
public sealed record MachineEnvironment(string Name, bool IsUser);
