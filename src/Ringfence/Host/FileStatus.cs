using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Ringfence.Host;

/// <summary>What the host knows about one file (Linux, statx(2)).</summary>
internal readonly unsafe partial struct FileStatus
{
    /// <summary>The type bits of <see cref="Mode"/>.</summary>
    public const uint TypeMask = 0xf000;

    /// <summary>A folder.</summary>
    public const uint Folder = 0x4000;

    /// <summary>A regular file.</summary>
    public const uint Regular = 0x8000;

    /// <summary>A symbolic link.</summary>
    public const uint SymbolicLink = 0xa000;

    /// <summary>A block device.</summary>
    public const uint BlockDevice = 0x6000;

    /// <summary>A socket.</summary>
    public const uint Socket = 0xc000;

    private const int CurrentFolder = -100;
    private const int NoFollow = 0x100;
    private const uint BasicStatistics = 0x7ff;

    /// <summary>Type and permissions.</summary>
    public uint Mode { get; private init; }

    /// <summary>Major number of a device node.</summary>
    public uint DeviceMajor { get; private init; }

    /// <summary>Minor number of a device node.</summary>
    public uint DeviceMinor { get; private init; }

    /// <summary>Number of the file in its file system.</summary>
    public ulong Inode { get; private init; }

    /// <summary>Number of the file system.</summary>
    public ulong FileSystem { get; private init; }

    /// <summary>Bytes it takes on the disk.</summary>
    public long AllocatedBytes { get; private init; }

    /// <summary>The type bits.</summary>
    public uint Type => Mode & TypeMask;

    /// <summary>Asks the host, without following a symbolic link.</summary>
    /// <exception cref="IOException">The file does not exist or may not be looked at.</exception>
    public static FileStatus Of(string path) => Of(path, NoFollow);

    /// <summary>Asks the host about what a path leads to in the end.</summary>
    /// <exception cref="IOException">The file does not exist or may not be looked at.</exception>
    public static FileStatus OfTarget(string path) => Of(path, 0);

    private static FileStatus Of(string path, int flags)
    {
        StatusBuffer buffer;
        if (Statx(CurrentFolder, path, flags, BasicStatistics, &buffer) != 0)
            throw new IOException(new Win32Exception(Marshal.GetLastPInvokeError()).Message);
        return new FileStatus
        {
            Mode = buffer.Mode,
            DeviceMajor = buffer.DeviceMajor,
            DeviceMinor = buffer.DeviceMinor,
            Inode = buffer.Inode,
            FileSystem = ((ulong)buffer.FileSystemMajor << 32) | buffer.FileSystemMinor,
            AllocatedBytes = (long)buffer.Blocks * 512,
        };
    }

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Statx(int folder, string path, int flags, uint mask, StatusBuffer* buffer);

    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct StatusBuffer
    {
        [FieldOffset(0x1c)]
        public ushort Mode;

        [FieldOffset(0x20)]
        public ulong Inode;

        [FieldOffset(0x30)]
        public ulong Blocks;

        [FieldOffset(0x80)]
        public uint DeviceMajor;

        [FieldOffset(0x84)]
        public uint DeviceMinor;

        [FieldOffset(0x88)]
        public uint FileSystemMajor;

        [FieldOffset(0x8c)]
        public uint FileSystemMinor;
    }
}
