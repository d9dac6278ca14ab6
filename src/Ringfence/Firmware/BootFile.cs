namespace Ringfence.Firmware;

/// <summary>
/// Something to be loaded into a machine: a file of the host, bytes in memory, or a folder packed when it is asked for.
/// </summary>
public sealed class BootFile
{
    private readonly Func<Stream> _open;

    private BootFile(string name, string arguments, Func<Stream> open)
    {
        Name = name;
        Arguments = arguments;
        _open = open;
    }

    /// <summary>What error messages call it: the path as the user gave it.</summary>
    public string Name { get; }

    /// <summary>Arguments of a Multiboot module; empty otherwise.</summary>
    public string Arguments { get; }

    /// <summary>A file of the host. Whether it exists is found out when it is loaded.</summary>
    /// <param name="path">Path on the host.</param>
    /// <param name="arguments">Arguments of a Multiboot module.</param>
    public static BootFile FromPath(string path, string arguments = "") => new(path, arguments, () => OpenPath(path));

    /// <summary>Bytes in memory.</summary>
    /// <param name="name">What error messages call them.</param>
    /// <param name="contents">The bytes.</param>
    /// <param name="arguments">Arguments of a Multiboot module.</param>
    public static BootFile FromBytes(string name, byte[] contents, string arguments = "") =>
        new(name, arguments, () => new MemoryStream(contents, writable: false));

    /// <summary>A folder of the host as an initial RAM file system (see <see cref="InitramfsBuilder"/>).</summary>
    /// <param name="folder">Path on the host.</param>
    public static BootFile FromFolder(string folder) => new(folder, "", () => PackFolder(folder));

    /// <summary>Opens it. The stream has a length.</summary>
    /// <exception cref="BootImageException">It does not exist or cannot be read.</exception>
    internal Stream Open() => _open();

    /// <summary>Reads all of it.</summary>
    /// <exception cref="BootImageException">It cannot be read or has more than <paramref name="limit"/> bytes.</exception>
    internal byte[] ReadAll(long limit, string what)
    {
        using Stream stream = Open();
        if (stream.Length > limit)
            throw new BootImageException($"{Name}: {what} of {ByteSize.Format((ulong)stream.Length)} is too large (at most {ByteSize.Format((ulong)limit)})");
        byte[] contents = new byte[stream.Length];
        Read(stream, contents);
        return contents;
    }

    /// <summary>Reads exactly as many bytes as fit.</summary>
    /// <exception cref="BootImageException">The host reports an error or the file has become shorter.</exception>
    internal void Read(Stream stream, Span<byte> destination)
    {
        try
        {
            stream.ReadExactly(destination);
        }
        catch (EndOfStreamException error)
        {
            throw new BootImageException($"{Name}: became shorter while it was read", error);
        }
        catch (IOException error)
        {
            throw new BootImageException($"{Name}: cannot be read: {HostErrors.OneLine(error)}", error);
        }
    }

    private static Stream OpenPath(string path)
    {
        if (path.Length == 0) throw new BootImageException("a file name is empty");
        if (Directory.Exists(path)) throw new BootImageException($"{path}: is a folder, not a file");
        try
        {
            FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, 1 << 16, FileOptions.SequentialScan);
            if (file.CanSeek) return file;
            using (file)
            {
                MemoryStream all = new();
                file.CopyTo(all);
                all.Position = 0;
                return all;
            }
        }
        catch (Exception error) when (HostErrors.Describe(error) is { } text)
        {
            throw new BootImageException($"{path}: {text}", error);
        }
    }

    private static Stream PackFolder(string folder)
    {
        FileStream archive;
        try
        {
            archive = new FileStream(
                Path.GetTempFileName(), FileMode.Create, FileAccess.ReadWrite, FileShare.None, 1 << 16, FileOptions.DeleteOnClose);
        }
        catch (Exception error) when (HostErrors.Describe(error) is { } text)
        {
            throw new BootImageException($"{folder}: no temporary file for the packed folder: {text}", error);
        }

        try
        {
            InitramfsBuilder.Build(folder, archive);
            archive.Position = 0;
            return archive;
        }
        catch
        {
            archive.Dispose();
            throw;
        }
    }
}
