using Microsoft.Win32.SafeHandles;
using Ringfence.Firmware;
using Ringfence.Host;

namespace Ringfence.Storage;

/// <summary>
/// A file of the host that holds an image, locked as long as it is open.
///
/// The locks are QEMU's, so that the two respect each other (its "image locking": block/file-posix.c and docs/system): byte 100 + n is
/// locked by who uses permission n (0 consistent read, 1 write, 3 resize), byte 200 + n by who denies permission n to others. All of
/// these locks are shared; who wants something takes its locks first and then looks whether anybody else has the opposite ones. Readers
/// share an image; a writer shares it with nobody. They are locks of open files (fcntl, F_OFD_SETLK), so two machines in one process
/// exclude each other too, and a killed process leaves none.
/// </summary>
internal sealed class ImageFile : IDisposable
{
    private const long UsedBase = 100;
    private const long DeniedBase = 200;
    private const int Read = 0;
    private const int WritePermission = 1;
    private const int Resize = 3;

    private readonly SafeFileHandle _handle;
    private long _length;

    private ImageFile(string name, SafeFileHandle handle, bool isReadOnly)
    {
        Name = name;
        IsReadOnly = isReadOnly;
        _handle = handle;
        _length = Measure();
    }

    /// <summary>The path as it was given: what messages begin with.</summary>
    public string Name { get; }

    /// <summary>It was opened for reading.</summary>
    public bool IsReadOnly { get; }

    /// <summary>Bytes of the file.</summary>
    public long Length => Volatile.Read(ref _length);

    /// <summary>Is told what is done to the file, for tests of what a crash of the host leaves behind; null: nobody.</summary>
    public IImageFileObserver? Observer { get; set; }

    /// <summary>Opens an image that exists.</summary>
    /// <exception cref="BlockImageException">It does not exist, may not be used, or is in use.</exception>
    public static ImageFile Open(string path, bool readOnly, bool locked = true)
    {
        SafeFileHandle? handle = null;
        try
        {
            CheckType(path);
            FileAccess access = readOnly ? FileAccess.Read : FileAccess.ReadWrite;
            FileShare share = NativeFile.IsSupported || !locked ? FileShare.ReadWrite | FileShare.Delete : readOnly ? FileShare.Read : FileShare.None;
            handle = File.OpenHandle(path, FileMode.Open, access, share, FileOptions.RandomAccess);
            if (locked) Lock(handle, path, readOnly);
            return new ImageFile(path, handle, readOnly);
        }
        catch (Exception error)
        {
            handle?.Dispose();
            if (error is BlockImageException || HostErrors.Describe(error) is not { } text) throw;
            throw new BlockImageException($"{path}: {text}", error);
        }
    }

    /// <summary>Makes a file that does not exist yet, and locks it for writing.</summary>
    /// <param name="path">Its path.</param>
    /// <param name="name">What messages call it; null: its path.</param>
    /// <exception cref="IOException">It exists, or the host refuses.</exception>
    public static ImageFile Create(string path, string? name = null)
    {
        SafeFileHandle? handle = null;
        try
        {
            handle = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete, FileOptions.RandomAccess);
            Lock(handle, path, readOnly: false);
            return new ImageFile(name ?? path, handle, isReadOnly: false);
        }
        catch
        {
            handle?.Dispose();
            throw;
        }
    }

    /// <summary>Reads; behind the end there are zeros.</summary>
    public void ReadPadded(long offset, Span<byte> data)
    {
        while (data.Length > 0)
        {
            int length = RandomAccess.Read(_handle, data, offset);
            if (length == 0) break;
            offset += length;
            data = data[length..];
        }

        data.Clear();
    }

    /// <summary>Writes; the file grows if need be.</summary>
    public void Write(long offset, ReadOnlySpan<byte> data)
    {
        try
        {
            RandomAccess.Write(_handle, data, offset);
            Observer?.Written(offset, data);
        }
        catch (IOException)
        {
            // A part of it may be there.
            Volatile.Write(ref _length, Measure());
            throw;
        }

        if (offset + data.Length > _length) Volatile.Write(ref _length, offset + data.Length);
    }

    /// <summary>Makes the file longer (by a hole) or shorter.</summary>
    public void SetLength(long length)
    {
        RandomAccess.SetLength(_handle, length);
        Volatile.Write(ref _length, length);
        Observer?.LengthChanged(length);
    }

    /// <summary>Makes bytes zero and gives their room back; false if the host cannot do that here.</summary>
    public bool TryPunchHole(long offset, long length)
    {
        if (!NativeFile.IsSupported) return false;
        if (offset >= Length) return true;
        length = Math.Min(length, Length - offset);
        if (!NativeFile.TryPunchHole(_handle, offset, length)) return false;
        Observer?.Punched(offset, length);
        return true;
    }

    /// <summary>Returns when everything written is on the host's disk.</summary>
    public void Flush()
    {
        if (NativeFile.IsSupported) NativeFile.SynchronizeData(_handle);
        else RandomAccess.FlushToDisk(_handle);
        Observer?.Synchronized();
    }

    /// <summary>What begins at an offset: data or a hole, and how long it is. Holes are found where the host tells about them.</summary>
    public BlockExtent ExtentAt(long offset)
    {
        long length = Length;
        if (offset >= length) return new BlockExtent(long.MaxValue - offset, IsZero: true);
        if (!NativeFile.IsSupported) return new BlockExtent(length - offset, IsZero: false);
        if (NativeFile.NextData(_handle, offset) is not { } data) return new BlockExtent(long.MaxValue - offset, IsZero: true);
        if (data > offset) return new BlockExtent(data - offset, IsZero: true);
        long hole = NativeFile.NextHole(_handle, offset) ?? length;
        return new BlockExtent(Math.Max(hole - offset, 1), IsZero: false);
    }

    /// <summary>Reads a table. Most tables of a sparse file that lie in holes cost no reading.</summary>
    /// <returns>False if it is all zeros; the buffer is zero then.</returns>
    public bool ReadTable(long offset, Span<byte> table)
    {
        BlockExtent extent = ExtentAt(offset);
        if (extent.IsZero && extent.Length >= table.Length)
        {
            table.Clear();
            return false;
        }

        ReadPadded(offset, table);
        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (NativeFile.IsSupported && !_handle.IsClosed) NativeFile.Unlock(_handle);
        _handle.Dispose();
    }

    private long Measure() => NativeFile.IsSupported ? NativeFile.Length(_handle) : RandomAccess.GetLength(_handle);

    // Opening a pipe would wait for somebody at its other end.
    private static void CheckType(string path)
    {
        if (Directory.Exists(path)) throw new BlockImageException($"{path}: is a folder, not a file");
        if (!NativeFile.IsSupported || !File.Exists(path)) return;
        if (FileStatus.OfTarget(path).Type is not (FileStatus.Regular or FileStatus.BlockDevice))
            throw new BlockImageException($"{path}: is neither a file nor a block device");
    }

    private static void Lock(SafeFileHandle handle, string path, bool readOnly)
    {
        if (!NativeFile.IsSupported) return;
        int[] used = readOnly ? [Read] : [Read, WritePermission, Resize];
        int[] denied = [WritePermission, Resize];
        bool free = used.All(n => NativeFile.TryLockShared(handle, UsedBase + n)) && denied.All(n => NativeFile.TryLockShared(handle, DeniedBase + n));
        if (!free || denied.Any(n => NativeFile.IsLockedElsewhere(handle, UsedBase + n)))
            throw new BlockImageException($"{path}: is being written by another machine or program");
        if (used.Any(n => NativeFile.IsLockedElsewhere(handle, DeniedBase + n)))
            throw new BlockImageException($"{path}: is in use by another machine or program");
    }
}
