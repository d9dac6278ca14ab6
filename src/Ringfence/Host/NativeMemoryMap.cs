using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Ringfence.Host;

/// <summary>The host's memory-mapping system calls (Linux).</summary>
internal static unsafe partial class NativeMemoryMap
{
    public const int ProtectNone = 0;
    public const int ProtectRead = 1;
    public const int ProtectWrite = 2;
    public const int ProtectExecute = 4;

    private const int MapShared = 1;
    private const int MapPrivate = 2;
    private const int MapFixed = 0x10;
    private const int MapAnonymous = 0x20;
    private const int MapNoReserve = 0x4000;
    private const int MapPopulate = 0x8000;
    private const uint CloseOnExec = 1;
    private const int AdviseRemove = 9;
    private const int AdviseHugePages = 14;

    /// <summary>Reserves address space that faults on every access.</summary>
    public static byte* Reserve(nuint length) =>
        Check(Map(null, length, ProtectNone, MapPrivate | MapAnonymous | MapNoReserve, -1, 0));

    /// <summary>Turns a part of a reservation back into address space that faults on every access, whatever was mapped there.</summary>
    public static void ReserveAgain(byte* address, nuint length) =>
        Check(Map(address, length, ProtectNone, MapPrivate | MapAnonymous | MapNoReserve | MapFixed, -1, 0));

    /// <summary>Zeroed memory that costs nothing until it is touched.</summary>
    public static byte* Allocate(nuint length) =>
        Check(Map(null, length, ProtectRead | ProtectWrite, MapPrivate | MapAnonymous | MapNoReserve, -1, 0));

    /// <summary>An anonymous file of zeroes, <paramref name="length"/> bytes long.</summary>
    public static int CreateFile(string name, nuint length)
    {
        int file = MemfdCreate(name, CloseOnExec);
        if (file < 0 || FileTruncate(file, (long)length) != 0) throw new Win32Exception(Marshal.GetLastPInvokeError());
        return file;
    }

    /// <summary>Maps a file at a fixed place inside a reservation, or anywhere if <paramref name="address"/> is null.</summary>
    /// <param name="address">The place, or null.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="protection">The Protect constants.</param>
    /// <param name="file">From <see cref="CreateFile"/>.</param>
    /// <param name="offset">Of the first byte in the file.</param>
    /// <param name="populate">Fill the host's page tables at once.</param>
    public static byte* MapFile(byte* address, nuint length, int protection, int file, long offset, bool populate = false) =>
        Check(Map(address, length, protection, MapShared | (address is null ? 0 : MapFixed) | MapNoReserve | (populate ? MapPopulate : 0), file, offset));

    /// <summary>Changes the protection of whole pages.</summary>
    public static void Protect(byte* address, nuint length, int protection)
    {
        if (MemoryProtect(address, length, protection) != 0) throw new Win32Exception(Marshal.GetLastPInvokeError());
    }

    /// <summary>Gives the pages of a shared mapping back, also in its file: they read as zero.</summary>
    public static void Discard(byte* address, nuint length)
    {
        if (MemoryAdvise(address, length, AdviseRemove) != 0) throw new Win32Exception(Marshal.GetLastPInvokeError());
    }

    /// <summary>Asks for huge pages where the host has them; it may refuse.</summary>
    public static void PreferHugePages(byte* address, nuint length) => _ = MemoryAdvise(address, length, AdviseHugePages);

    /// <summary>Gives a mapping back.</summary>
    public static void Unmap(byte* address, nuint length) => MemoryUnmap(address, length);

    /// <summary>Closes a file.</summary>
    public static void CloseFile(int file) => Close(file);

    private static byte* Check(void* address) =>
        (nint)address == -1 ? throw new Win32Exception(Marshal.GetLastPInvokeError()) : (byte*)address;

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial void* Map(void* address, nuint length, int protection, int flags, int file, long offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int MemoryUnmap(void* address, nuint length);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    private static partial int MemoryProtect(void* address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    private static partial int MemoryAdvise(void* address, nuint length, int advice);

    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MemfdCreate(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "ftruncate", SetLastError = true)]
    private static partial int FileTruncate(int file, long length);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int file);
}
