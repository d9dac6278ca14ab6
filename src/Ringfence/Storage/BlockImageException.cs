namespace Ringfence.Storage;

/// <summary>
/// An image that cannot be opened, made or used as it was asked for. <see cref="Exception.Message"/> is one line that names the file and
/// says what is wrong with it.
/// </summary>
public sealed class BlockImageException : IOException
{
    /// <summary>Makes the exception.</summary>
    /// <param name="message">One line, beginning with the file's name.</param>
    public BlockImageException(string message)
        : base(message)
    {
    }

    /// <summary>Makes the exception with the host's error that led to it.</summary>
    /// <param name="message">One line, beginning with the file's name.</param>
    /// <param name="innerException">The host's error.</param>
    public BlockImageException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
