using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Ringfence.Host;

/// <summary>What the host knows about one file, without following a symbolic link (Linux, statx(2)).</summary>
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

    /// <summary>The type bits.</summary>
    public uint Type => Mode & TypeMask;

    /// <summary>Asks the host.</summary>
    /// <exception cref="IOException">The file does not exist or may not be looked at.</exception>
    public static FileStatus Of(string path)
    {
        StatusBuffer buffer;
        if (Statx(CurrentFolder, path, NoFollow, BasicStatistics, &buffer) != 0)
            throw new IOException(new Win32Exception(Marshal.GetLastPInvokeError()).Message);
        return new FileStatus { Mode = buffer.Mode, DeviceMajor = buffer.DeviceMajor, DeviceMinor = buffer.DeviceMinor };
    }

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Statx(int folder, string path, int flags, uint mask, StatusBuffer* buffer);

    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct StatusBuffer
    {
        [FieldOffset(0x1c)]
        public ushort Mode;

        [FieldOffset(0x80)]
        public uint DeviceMajor;

        [FieldOffset(0x84)]
        public uint DeviceMinor;
    }
}
