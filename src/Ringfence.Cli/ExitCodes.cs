namespace Ringfence.Cli;

/// <summary>What the command's exit code says, besides what the machine itself decides.</summary>
internal static class ExitCodes
{
    /// <summary>The guest has powered off, or the user has stopped the machine.</summary>
    public const int Success = 0;

    /// <summary>The user asked for something that cannot be done.</summary>
    public const int UserError = 1;

    /// <summary>The monitor has failed.</summary>
    public const int InternalError = 4;

    /// <summary>The time given by <c>--timeout</c> is over.</summary>
    public const int Timeout = 124;

    /// <summary>Added to the number of the signal that ended the command.</summary>
    public const int Signal = 128;
}
