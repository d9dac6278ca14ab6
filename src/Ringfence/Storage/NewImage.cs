using Ringfence.Firmware;

namespace Ringfence.Storage;

/// <summary>A file that has its name only when it is complete, so that nobody ever finds half an image.</summary>
internal static class NewImage
{
    /// <summary>Makes a file.</summary>
    /// <param name="path">Its name.</param>
    /// <param name="replace">Take the place of a file of that name, unless that is in use.</param>
    /// <param name="write">Makes it under the name that it is given.</param>
    /// <exception cref="BlockImageException">It exists already, is in use, or the host refuses.</exception>
    public static void Make(string path, bool replace, Action<string> write)
    {
        if (path.Length == 0) throw new BlockImageException("the name of an image is empty");
        if (Path.Exists(path))
        {
            if (!replace) throw new BlockImageException($"{path}: exists already");
            using ImageFile locked = ImageFile.Open(path, readOnly: false);
        }

        string unfinished = $"{path}.{Guid.NewGuid().ToString("N")[..8]}.unfinished";
        try
        {
            write(unfinished);
            File.Move(unfinished, path, replace);
        }
        catch (Exception error)
        {
            Remove(unfinished);
            if (error is BlockImageException || HostErrors.Describe(error) is not { } text) throw;
            throw new BlockImageException($"{path}: {(error is FileNotFoundException or DirectoryNotFoundException or not IOException ? text : $"cannot be written: {HostErrors.OneLine(error)}")}", error);
        }
    }

    private static void Remove(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // What went wrong before this is what is told.
        }
    }
}
