namespace Ringfence.Firmware;

/// <summary>The host's file errors in a few words.</summary>
internal static class HostErrors
{
    /// <summary>A few words for the file errors that are the user's business; null for anything else.</summary>
    public static string? Describe(Exception error) => error switch
    {
        FileNotFoundException or DirectoryNotFoundException => "no such file or folder",
        UnauthorizedAccessException => "permission denied",
        PathTooLongException => "the name is too long",
        IOException => $"cannot be read: {OneLine(error)}",
        ArgumentException or NotSupportedException => "is not a file name",
        _ => null,
    };

    /// <summary>An exception's message without line breaks.</summary>
    public static string OneLine(Exception error) => error.Message.ReplaceLineEndings(" ").TrimEnd('.');
}
