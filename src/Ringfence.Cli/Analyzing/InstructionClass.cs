namespace Ringfence.Cli.Analyzing;

/// <summary>What a verdict comes to, for a list: each instruction belongs to one.</summary>
internal enum InstructionClass
{
    /// <summary>Sensitive and not privileged.</summary>
    Offender,

    /// <summary>Privileged, whether sensitive or not.</summary>
    Privileged,

    /// <summary>Neither.</summary>
    Innocuous,
}
