namespace Ringfence.Firmware;

/// <summary>
/// A file that cannot be booted, or not with the memory and options given. <see cref="Exception.Message"/> is one line
/// that names the file and says what is wrong with it.
/// </summary>
public sealed class BootImageException : Exception
{
    /// <summary>Makes the exception.</summary>
    /// <param name="message">One line, beginning with the file's name.</param>
    public BootImageException(string message)
        : base(message)
    {
    }

    /// <summary>Makes the exception with the host's error that led to it.</summary>
    /// <param name="message">One line, beginning with the file's name.</param>
    /// <param name="innerException">The host's error.</param>
    public BootImageException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
