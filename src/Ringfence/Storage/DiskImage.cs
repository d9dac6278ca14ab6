using Ringfence.Firmware;
using Ringfence.Host;
using Ringfence.Storage.Qcow2;

namespace Ringfence.Storage;

/// <summary>
/// Disk images: raw files and block devices, qcow2 with its backing files, ISO images. All methods throw
/// <see cref="BlockImageException"/> with one line for whatever is wrong with an image or its name.
/// </summary>
public static class DiskImage
{
    private const int MaxDepth = 64;

    /// <summary>
    /// Opens an image. It stays locked until the disk is disposed of: readers share it, a writer does not, and QEMU respects the lock.
    /// </summary>
    /// <param name="path">Path on the host.</param>
    /// <param name="options">How; null: as its format says, for writing.</param>
    /// <exception cref="BlockImageException">It does not exist, is in use, is damaged, or cannot be used.</exception>
    public static BlockStore Open(string path, DiskImageOptions? options = null)
    {
        options ??= new DiskImageOptions();
        bool readOnly = options.ReadOnly || options.Snapshot;
        BlockStore disk = OpenLayer(path, options.Format, readOnly, options.Report ?? (static _ => { }), []);
        if (!options.Snapshot || options.ReadOnly) return disk;
        try
        {
            return new OverlayStore(disk);
        }
        catch
        {
            disk.Dispose();
            throw;
        }
    }

    /// <summary>What an image says about itself. It may be in use; nothing is locked.</summary>
    /// <param name="path">Path on the host.</param>
    /// <param name="format">Its format.</param>
    /// <exception cref="BlockImageException">It cannot be read.</exception>
    public static DiskImageInfo Inspect(string path, DiskImageFormat format = DiskImageFormat.Auto) => Guard(path, () =>
    {
        using ImageFile file = ImageFile.Open(path, readOnly: true, locked: false);
        format = Detect(file, format);
        long allocated = NativeFile.IsSupported ? FileStatus.OfTarget(path).AllocatedBytes : file.Length;
        if (format != DiskImageFormat.Qcow2)
            return new DiskImageInfo { Path = path, Format = format, VirtualBytes = (file.Length + 511) & -512, AllocatedBytes = allocated };
        Qcow2Header header = Qcow2Header.Read(file);
        return new DiskImageInfo
        {
            Path = path,
            Format = format,
            VirtualBytes = (header.Size + 511) & -512,
            AllocatedBytes = allocated,
            Qcow2 = new Qcow2Info
            {
                Version = header.Version,
                ClusterBytes = header.ClusterBytes,
                RefcountBits = 1 << header.RefcountOrder,
                IsDirty = (header.IncompatibleFeatures & Qcow2Header.Dirty) != 0,
                IsCorrupt = (header.IncompatibleFeatures & Qcow2Header.Corrupt) != 0,
                BackingFile = header.BackingFile,
                BackingPath = header.BackingFile is { } name ? FindBacking(path, name) : null,
                BackingFormat = header.BackingFormat,
                Snapshots = [.. SnapshotTable.Read(file, header).Entries.Select(e => e.Snapshot)],
            },
        };
    });

    /// <summary>Makes an empty raw image.</summary>
    /// <param name="path">Path on the host, where nothing is yet.</param>
    /// <param name="size">Bytes; rounded up to a multiple of 512.</param>
    /// <param name="replace">Take the place of a file that is there, unless it is in use.</param>
    /// <exception cref="BlockImageException">It exists already, or the host refuses.</exception>
    public static void CreateRaw(string path, long size, bool replace = false) => Create(path, replace, file =>
    {
        file.SetLength((size + 511) & -512);
        file.Flush();
    });

    /// <summary>Makes an empty qcow2 image of version 3.</summary>
    /// <param name="path">Path on the host, where nothing is yet.</param>
    /// <param name="size">Bytes of the disk, rounded up to a multiple of 512; null: those of the backing file.</param>
    /// <param name="backing">The file to read where nothing has been written, as the image is to name it: a relative path is one from the image's folder.</param>
    /// <param name="backingFormat">Its format.</param>
    /// <param name="clusterBytes">Bytes of a cluster: a power of two from 512 to 2 MiB.</param>
    /// <param name="replace">Take the place of a file that is there, unless it is in use.</param>
    /// <exception cref="BlockImageException">It exists already, the backing file cannot be used, or the host refuses.</exception>
    public static void CreateQcow2(string path, long? size, string? backing = null, DiskImageFormat backingFormat = DiskImageFormat.Auto, int clusterBytes = 65536, bool replace = false)
    {
        string? format = null;
        if (backing is not null)
        {
            string found = BackingPath(path, backing);
            using BlockStore below = Open(found, new DiskImageOptions { Format = backingFormat, ReadOnly = true });
            size ??= below.Length;
            format = Inspect(found, backingFormat).Format == DiskImageFormat.Qcow2 ? "qcow2" : "raw";
        }

        if (size is null) throw new BlockImageException($"{path}: neither a size nor a backing file is given");
        int bits = System.Numerics.BitOperations.Log2((uint)clusterBytes);
        if (clusterBytes != 1 << bits || bits is < Qcow2Header.MinClusterBits or > Qcow2Header.MaxClusterBits)
            throw new BlockImageException($"{path}: clusters have a power of two of bytes from 512 to 2 MiB, not {clusterBytes}");
        Create(path, replace, file => Qcow2Creation.Write(file, new Qcow2Creation.Request((size.Value + 511) & -512, bits, BackingFile: backing, BackingFormat: format)));
    }

    /// <summary>Looks at all tables of an image.</summary>
    /// <param name="path">Path on the host.</param>
    /// <param name="repair">Put right what can be.</param>
    /// <param name="format">Its format.</param>
    /// <returns>What was found; null: the format has no tables.</returns>
    /// <exception cref="BlockImageException">It cannot be read, or is in use.</exception>
    public static DiskImageCheck? Check(string path, bool repair = false, DiskImageFormat format = DiskImageFormat.Auto) => Guard(path, () =>
    {
        using ImageFile file = ImageFile.Open(path, readOnly: !repair);
        return Detect(file, format) == DiskImageFormat.Qcow2 ? Qcow2Store.Check(file, Qcow2Header.Read(file), repair) : null;
    });

    private static BlockStore OpenLayer(string path, DiskImageFormat asked, bool readOnly, Action<string> report, List<string> above) => Guard<BlockStore>(path, () =>
    {
        // Before anything is locked: what is above in the chain is this process' own.
        string identity = Identity(path);
        if (above.Contains(identity)) throw new BlockImageException($"{path}: is its own backing file");
        if (above.Count >= MaxDepth) throw new BlockImageException($"{path}: more than {MaxDepth} images lie upon each other");
        readOnly |= asked == DiskImageFormat.Iso || (asked == DiskImageFormat.Auto && IsIsoName(path));
        ImageFile file = ImageFile.Open(path, readOnly);
        BlockStore? backing = null;
        try
        {
            DiskImageFormat format = Detect(file, asked);
            if (format != DiskImageFormat.Qcow2) return new RawStore(file, keepsFormat: asked == DiskImageFormat.Auto);
            Qcow2Header header = Qcow2Header.Read(file);
            if (header.BackingFile is { } name) backing = OpenBacking(path, name, header.BackingFormat, report, [.. above, identity]);
            return Qcow2Store.Open(file, header, backing, report);
        }
        catch
        {
            backing?.Dispose();
            file.Dispose();
            throw;
        }
    });

    private static BlockStore OpenBacking(string path, string name, string? format, Action<string> report, List<string> above)
    {
        DiskImageFormat known = format switch
        {
            null => DiskImageFormat.Auto,
            "raw" or "host_device" or "file" => DiskImageFormat.Raw,
            "qcow2" => DiskImageFormat.Qcow2,
            _ => throw new BlockImageException($"{path}: its backing file has the format '{Printable(format)}', which is not supported"),
        };
        try
        {
            return OpenLayer(BackingPath(path, name), known, readOnly: true, report, above);
        }
        catch (BlockImageException error) when (above.Count == 1)
        {
            throw new BlockImageException($"{path}: its backing file cannot be used: {error.Message}", error);
        }
    }

    // A relative name is one from the folder of the image. QEMU reads "name:..." as a protocol, so a file of such a name is not meant.
    private static string BackingPath(string path, string name) =>
        FindBacking(path, name) ?? throw new BlockImageException($"{path}: its backing file '{name}' is not a file of this host");

    private static string? FindBacking(string path, string name)
    {
        if (name.StartsWith("file:", StringComparison.Ordinal)) name = name[5..];
        int colon = name.IndexOf(':', StringComparison.Ordinal);
        int slash = name.IndexOf('/', StringComparison.Ordinal);
        return colon > 0 && (slash < 0 || slash > colon) ? null : Path.Combine(Path.GetDirectoryName(path) ?? "", name);
    }

    private static DiskImageFormat Detect(ImageFile file, DiskImageFormat asked)
    {
        if (asked is not DiskImageFormat.Auto) return asked;
        byte[] start = new byte[FormatProbe.Bytes];
        file.ReadPadded(0, start);
        if (FormatProbe.IsQcow(start)) return DiskImageFormat.Qcow2;
        if (FormatProbe.ForeignFormat(start) is { } foreign) throw new BlockImageException($"{file.Name}: is a {foreign} image, which is not supported (qemu-img can convert it)");
        return IsIsoName(file.Name) ? DiskImageFormat.Iso : DiskImageFormat.Raw;
    }

    private static bool IsIsoName(string path) => path.EndsWith(".iso", StringComparison.OrdinalIgnoreCase);

    private static string Printable(string text) => new([.. text.Take(40).Select(c => char.IsControl(c) ? '?' : c)]);

    private static string Identity(string path)
    {
        if (!NativeFile.IsSupported || !File.Exists(path)) return Path.GetFullPath(path);
        FileStatus status = FileStatus.OfTarget(path);
        return $"{status.FileSystem}:{status.Inode}";
    }

    private static void Create(string path, bool replace, Action<ImageFile> write) => NewImage.Make(path, replace, unfinished =>
    {
        using ImageFile file = ImageFile.Create(unfinished, path);
        write(file);
    });

    // Errors of the host while an image is opened or made name it.
    private static T Guard<T>(string path, Func<T> work)
    {
        if (path.Length == 0) throw new BlockImageException("the name of an image is empty");
        try
        {
            return work();
        }
        catch (Exception error) when (error is not BlockImageException && HostErrors.Describe(error) is { } text)
        {
            throw new BlockImageException($"{path}: {text}", error);
        }
    }
}
