namespace Ringfence.Cli;

/// <summary>Something the user asked for cannot be done. The message is one line.</summary>
internal sealed class UserErrorException(string message) : Exception(message);
