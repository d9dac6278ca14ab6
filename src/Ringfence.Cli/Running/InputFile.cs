namespace Ringfence.Cli.Running;

/// <summary>Files that the user names and that are read as a whole.</summary>
internal static class InputFile
{
    /// <summary>Reads a file.</summary>
    /// <param name="path">Its path.</param>
    /// <param name="maximumBytes">Most bytes it may have.</param>
    /// <param name="tooLarge">What is said of one that has more.</param>
    /// <exception cref="UserErrorException">It cannot be read or is too large; the message begins with its path.</exception>
    public static byte[] Read(string path, int maximumBytes, string tooLarge)
    {
        if (Directory.Exists(path)) throw new UserErrorException($"{path}: is a folder, not a file");
        try
        {
            using FileStream file = File.OpenRead(path);
            return ReadAll(buffer => file.Read(buffer), maximumBytes) ?? throw new UserErrorException($"{path}: {tooLarge}");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new UserErrorException($"{path}: {Describe(error)}");
        }
    }

    /// <summary>Reads to the end.</summary>
    /// <returns>Null if there is more than may be: no more than that is held in memory.</returns>
    public static byte[]? ReadAll(ReadBytes read, int maximumBytes)
    {
        const int ChunkBytes = 1 << 14;
        using MemoryStream bytes = new();
        byte[] buffer = new byte[ChunkBytes];
        for (int count; (count = read(buffer)) > 0;)
        {
            if (bytes.Length + count > maximumBytes) return null;
            bytes.Write(buffer, 0, count);
        }

        return bytes.ToArray();
    }

    private static string Describe(Exception error) => error switch
    {
        FileNotFoundException or DirectoryNotFoundException => "no such file or folder",
        UnauthorizedAccessException => "permission denied",
        IOException => $"cannot be read: {error.Message.ReplaceLineEndings(" ").TrimEnd('.')}",
        _ => "is not a file name",
    };

    /// <summary>Reads what is there into a buffer; 0 at the end.</summary>
    public delegate int ReadBytes(Span<byte> buffer);
}
