using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Ringfence.Host;

/// <summary>What Linux offers for files beyond the runtime's own methods: locks of byte ranges, holes, and the size of devices.</summary>
internal static unsafe partial class NativeFile
{
    private const int ReadLock = 0;
    private const int WriteLock = 1;
    private const int Unlocked = 2;
    private const int GetLock = 36;
    private const int SetLock = 37;
    private const int SeekEnd = 2;
    private const int SeekData = 3;
    private const int SeekHole = 4;
    private const int KeepSize = 1;
    private const int PunchesHole = 2;
    private const int TryAgain = 11;
    private const int AccessDenied = 13;
    private const int NoSuchAddress = 6;

    /// <summary>Can they be used here?</summary>
    public static bool IsSupported => OperatingSystem.IsLinux() && Environment.Is64BitProcess;

    /// <summary>
    /// Takes a shared lock on one byte. The lock belongs to the open file (an "open file description lock", fcntl(2)) and ends when it
    /// is closed. A host without such locks locks nothing.
    /// </summary>
    /// <returns>False if another open file has it exclusively.</returns>
    public static bool TryLockShared(SafeFileHandle file, long offset)
    {
        ByteRangeLock request = new() { Type = ReadLock, Start = offset, Length = 1 };
        return Control(file, SetLock, &request) == 0 || Marshal.GetLastPInvokeError() is not (TryAgain or AccessDenied);
    }

    /// <summary>Gives all locks of an open file back, also where a process that is just being started still has it.</summary>
    public static void Unlock(SafeFileHandle file)
    {
        ByteRangeLock request = new() { Type = Unlocked };
        _ = Control(file, SetLock, &request);
    }

    /// <summary>Does another open file have a lock of any kind on this byte?</summary>
    public static bool IsLockedElsewhere(SafeFileHandle file, long offset)
    {
        ByteRangeLock request = new() { Type = WriteLock, Start = offset, Length = 1 };
        return Control(file, GetLock, &request) == 0 && request.Type != Unlocked;
    }

    /// <summary>Bytes of a file or a block device.</summary>
    public static long Length(SafeFileHandle file)
    {
        long end = Seek(file, 0, SeekEnd);
        return end >= 0 ? end : throw Error();
    }

    /// <summary>The first byte at or behind an offset that is not in a hole; null: there is none.</summary>
    public static long? NextData(SafeFileHandle file, long offset)
    {
        long data = Seek(file, offset, SeekData);
        return data >= 0 ? data : Marshal.GetLastPInvokeError() == NoSuchAddress ? null : offset;
    }

    /// <summary>The first byte at or behind an offset that is in a hole (the end of the file at the latest).</summary>
    public static long? NextHole(SafeFileHandle file, long offset)
    {
        long hole = Seek(file, offset, SeekHole);
        return hole >= 0 ? hole : null;
    }

    /// <summary>Makes a range of a file a hole, which reads as zeros.</summary>
    /// <returns>False if the host's file system knows no holes.</returns>
    public static bool TryPunchHole(SafeFileHandle file, long offset, long length) => Allocate(file, PunchesHole | KeepSize, offset, length) == 0;

    /// <summary>Returns when the file's contents, and as much of its description as reading them needs, are on the disk.</summary>
    /// <exception cref="IOException">The disk has failed.</exception>
    public static void SynchronizeData(SafeFileHandle file)
    {
        if (Synchronize(file) != 0) throw Error();
    }

    private static IOException Error() => new(new Win32Exception(Marshal.GetLastPInvokeError()).Message);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Control(SafeFileHandle file, int command, ByteRangeLock* request);

    [LibraryImport("libc", EntryPoint = "lseek", SetLastError = true)]
    private static partial long Seek(SafeFileHandle file, long offset, int whence);

    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    private static partial int Allocate(SafeFileHandle file, int mode, long offset, long length);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int Synchronize(SafeFileHandle file);

    // struct flock of 64-bit Linux.
    [StructLayout(LayoutKind.Explicit, Size = 32)]
    private struct ByteRangeLock
    {
        [FieldOffset(0)]
        public short Type;

        [FieldOffset(8)]
        public long Start;

        [FieldOffset(16)]
        public long Length;
    }
}
