using System.IO.Compression;
using System.Text;
using Ringfence.Host;

namespace Ringfence.Firmware;

/// <summary>
/// Packs a folder into an initial RAM file system: a "newc" cpio archive in gzip (Linux documentation, "initramfs buffer format").
/// The result depends only on names, modes and contents: entries are sorted, everything belongs to root and dates from 1970.
/// </summary>
public static class InitramfsBuilder
{
    private const uint ConsoleMode = 0x2180;
    private const uint FolderMode = 0x41ed;
    private const int HeaderBytes = 110;
    private const string Trailer = "TRAILER!!!";

    /// <summary>Packs <paramref name="folder"/>, streaming; adds the node /dev/console (character device 5, 1) if it is missing.</summary>
    /// <param name="folder">Path of the folder that becomes the root.</param>
    /// <param name="output">Receives the archive; stays open.</param>
    /// <param name="level">How hard to compress; the guest has to undo it.</param>
    /// <exception cref="BootImageException">The folder or something in it cannot be read, or does not fit the format.</exception>
    public static void Build(string folder, Stream output, CompressionLevel level = CompressionLevel.Fastest)
    {
        if (!Directory.Exists(folder))
            throw new BootImageException($"{folder}: {(File.Exists(folder) ? "is a file, not a folder" : "no such folder")}");
        using GZipStream gzip = new(output, level, leaveOpen: true);
        using BufferedStream buffered = new(gzip, 1 << 16);
        Archive archive = new(buffered);
        archive.Folder(folder, "");
        archive.End();
    }

    private sealed class Archive(Stream output)
    {
        private readonly byte[] _buffer = new byte[1 << 16];
        private uint _inode = 1;

        public void Folder(string path, string name)
        {
            if (name.Length != 0) Header(name, Guard(path, () => FileStatus.Of(path)).Mode, 0, 2, 0, 0);
            List<string> children = Guard(path, () => Directory.EnumerateFileSystemEntries(path).Select(c => Path.GetFileName(c)!).ToList());
            children.Sort(string.CompareOrdinal);
            foreach (string child in children) Entry(Path.Combine(path, child), name.Length == 0 ? child : $"{name}/{child}");
            if (name.Length == 0 && !children.Contains("dev")) Header("dev", FolderMode, 0, 2, 0, 0);
            if (name == "dev" ? !children.Contains("console") : name.Length == 0 && !children.Contains("dev"))
                Header("dev/console", ConsoleMode, 0, 1, 5, 1);
        }

        public void End()
        {
            Header(Trailer, 0, 0, 1, 0, 0);
        }

        private void Entry(string path, string name)
        {
            FileStatus status = Guard(path, () => FileStatus.Of(path));
            switch (status.Type)
            {
                case FileStatus.Folder:
                    Folder(path, name);
                    break;
                case FileStatus.Regular:
                    RegularFile(path, name, status.Mode);
                    break;
                case FileStatus.SymbolicLink:
                    string target = Guard(path, () => new FileInfo(path).LinkTarget) ?? throw new BootImageException($"{path}: is no longer a symbolic link");
                    byte[] text = Encoding.UTF8.GetBytes(target);
                    Header(name, status.Mode, text.Length, 1, 0, 0);
                    Write(text);
                    Pad(text.Length);
                    break;
                case FileStatus.Socket:
                    throw new BootImageException($"{path}: is a socket, which cannot be packed");
                default:
                    Header(name, status.Mode, 0, 1, status.DeviceMajor, status.DeviceMinor);
                    break;
            }
        }

        private void RegularFile(string path, string name, uint mode)
        {
            using FileStream file = Guard(path, () => new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, 1));
            long length = Guard(path, () => file.Length);
            if (length > uint.MaxValue) throw new BootImageException($"{path}: {ByteSize.Format((ulong)length)} do not fit an initial RAM file system (4 GiB a file)");
            Header(name, mode, length, 1, 0, 0);
            for (long left = length; left > 0;)
            {
                int read = Guard(path, () => file.Read(_buffer, 0, (int)Math.Min(left, _buffer.Length)));
                if (read == 0) throw new BootImageException($"{path}: became shorter while it was read");
                Write(_buffer.AsSpan(0, read));
                left -= read;
            }

            Pad(length);
        }

        // Thirteen fields of eight hexadecimal digits behind the magic number; name and contents are padded to four bytes.
        private void Header(string name, uint mode, long length, int links, uint major, uint minor)
        {
            byte[] encoded = [.. Encoding.UTF8.GetBytes(name), 0];
            uint inode = name == Trailer ? 0 : _inode++;
            Write(Encoding.ASCII.GetBytes(
                $"070701{inode:x8}{mode:x8}{0:x8}{0:x8}{links:x8}{0:x8}{length:x8}{0:x8}{0:x8}{major:x8}{minor:x8}{encoded.Length:x8}{0:x8}"));
            Write(encoded);
            Pad(HeaderBytes + encoded.Length);
        }

        private void Pad(long length) => Write(new byte[(int)(-length & 3)]);

        private void Write(ReadOnlySpan<byte> bytes)
        {
            try
            {
                output.Write(bytes);
            }
            catch (IOException error)
            {
                throw new BootImageException($"the packed folder cannot be written: {HostErrors.OneLine(error)}", error);
            }
        }

        private static T Guard<T>(string path, Func<T> action)
        {
            try
            {
                return action();
            }
            catch (Exception error) when (HostErrors.Describe(error) is { } text)
            {
                throw new BootImageException($"{path}: {text}", error);
            }
        }
    }
}
