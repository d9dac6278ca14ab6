namespace Ringfence.Cli.Running;

/// <summary>A file that takes what a guest prints, written at once so that others can follow it.</summary>
internal sealed class OutputFile : IDisposable
{
    private readonly string _option;
    private readonly string _path;
    private readonly FileStream _file;

    /// <summary>Creates the file, or empties it.</summary>
    /// <exception cref="UserErrorException">The host refuses.</exception>
    /// <param name="option">The option that names it.</param>
    /// <param name="path">Its path.</param>
    /// <param name="bufferBytes">What is collected before it is written; 0: nothing.</param>
    public OutputFile(string option, string path, int bufferBytes = 0)
    {
        _option = option;
        _path = path;
        try
        {
            _file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.ReadWrite, bufferBytes);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new UserErrorException($"{option}: {path}: {Describe(error)}");
        }
    }

    /// <summary>The file, for those that write much.</summary>
    public Stream Stream => _file;

    /// <summary>Appends.</summary>
    /// <exception cref="UserErrorException">The host refuses, for example because the disk is full.</exception>
    public void Write(ReadOnlySpan<byte> data)
    {
        try
        {
            _file.Write(data);
        }
        catch (IOException error)
        {
            throw new UserErrorException($"{_option}: {_path}: {Describe(error)}");
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private static string Describe(Exception error) => error switch
    {
        DirectoryNotFoundException => "no such folder",
        UnauthorizedAccessException => "permission denied",
        IOException => $"cannot be written: {error.Message.ReplaceLineEndings(" ").TrimEnd('.')}",
        _ => "is not a file name",
    };
}
