namespace Ringfence.Cli.Running;

/// <summary>
/// A file that takes a report at the end of some work. It is opened before the work, so that a name that cannot be written is known at
/// once, and what it held stays until there is something to take its place.
/// </summary>
internal sealed class ReportFile : IDisposable
{
    private readonly string _option;
    private readonly bool _isNew;
    private readonly FileStream _file;
    private bool _isWritten;

    /// <summary>Opens the file for writing, or creates it.</summary>
    /// <exception cref="UserErrorException">The host refuses.</exception>
    public ReportFile(string option, string path)
    {
        _option = option;
        Path = path;
        try
        {
            if (Directory.Exists(path)) throw new UserErrorException($"{option}: {path}: is a folder, not a file");
            _isNew = !File.Exists(path);
            _file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read, bufferSize: 0);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new UserErrorException($"{option}: {path}: {Describe(error)}");
        }
    }

    /// <summary>Its path as it was given.</summary>
    public string Path { get; }

    /// <summary>Replaces its contents.</summary>
    /// <exception cref="UserErrorException">The host refuses, for example because the disk is full.</exception>
    public void Write(ReadOnlySpan<byte> data)
    {
        try
        {
            // A pipe or a terminal has no length.
            if (_file.CanSeek) _file.SetLength(0);
            _file.Write(data);
            _isWritten = true;
        }
        catch (IOException error)
        {
            throw new UserErrorException($"{_option}: {Path}: {Describe(error)}");
        }
    }

    /// <summary>Closes it. A file that was created and not written is removed.</summary>
    public void Dispose()
    {
        _file.Dispose();
        if (_isWritten || !_isNew) return;
        try
        {
            File.Delete(Path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // It is empty, and whoever holds it now knows better.
        }
    }

    private static string Describe(Exception error) => error switch
    {
        DirectoryNotFoundException => "no such folder",
        UnauthorizedAccessException => "permission denied",
        IOException => $"cannot be written: {error.Message.ReplaceLineEndings(" ").TrimEnd('.')}",
        _ => "is not a file name",
    };
}
