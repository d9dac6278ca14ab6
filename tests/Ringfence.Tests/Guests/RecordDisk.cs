using System.Globalization;
using Ringfence.Storage;
using Ringfence.Tests.Storage;

namespace Ringfence.Tests.Guests;

/// <summary>A disk that a <see cref="RecordProgram"/> writes, and what it said to be safe.</summary>
internal sealed class RecordDisk
{
    private static readonly RecordLayout Layout = RecordProgram.Layout;

    private readonly ImageFolder _folder;
    private readonly string _name;
    private readonly bool _isRaw;
    private readonly uint[] _acknowledged = new uint[Layout.Slots];

    /// <param name="folder">Where the image is.</param>
    /// <param name="name">The letter of its program's lines, and its file's name.</param>
    /// <param name="clusterBytes">Bytes of a qcow2 image's cluster; 0: a raw image.</param>
    /// <param name="hasBacking">Has it a backing file?</param>
    public RecordDisk(ImageFolder folder, char name, int clusterBytes, bool hasBacking = false)
    {
        (_folder, _name, _isRaw) = (folder, name.ToString(), clusterBytes == 0);
        File.Delete(Path);
        if (_isRaw)
        {
            DiskImage.CreateRaw(Path, RecordProgram.DiskBytes);
            return;
        }

        if (hasBacking && !File.Exists(folder["base"])) DiskImage.CreateRaw(folder["base"], RecordProgram.DiskBytes);
        DiskImage.CreateQcow2(Path, RecordProgram.DiskBytes, hasBacking ? "base" : null, DiskImageFormat.Raw, clusterBytes);
    }

    /// <summary>Its image.</summary>
    public string Path => _folder[_name];

    /// <summary>The disk for the command line.</summary>
    /// <param name="connection">Its interface.</param>
    public string Argument(string connection) => $"{Path},if={connection},format={(_isRaw ? "raw" : "qcow2")}";

    /// <summary>Takes note of a line of the program; half a line, the last one, is none.</summary>
    /// <returns>Is it a line of this disk's program?</returns>
    public bool Acknowledge(string line)
    {
        if (line.Length != 19 || line[0] != _name[0] || line[1] != ' ' || line[10] != ' ') return false;
        if (!int.TryParse(line.AsSpan(2, 8), NumberStyles.HexNumber, null, out int slot) || !uint.TryParse(line.AsSpan(11, 8), NumberStyles.HexNumber, null, out uint version)) return false;
        if (version > _acknowledged[slot]) _acknowledged[slot] = version;
        return true;
    }

    /// <summary>Nothing is wrong with the killed image, and what was acknowledged is there.</summary>
    /// <param name="when">For failures.</param>
    /// <param name="repair">Open it for writing, which gives room back that was lost; otherwise the next machine does that.</param>
    /// <returns>Clusters that nothing referred to.</returns>
    public long Judge(string when, bool repair)
    {
        when = $"{when}, disk {_name}";
        long leaks = _isRaw ? 0 : Check(when);
        List<string> told = [];
        using (BlockStore disk = DiskImage.Open(Path, new DiskImageOptions { Format = _isRaw ? DiskImageFormat.Raw : DiskImageFormat.Qcow2, ReadOnly = !repair, Report = told.Add }))
        {
            for (int slot = 0; slot < Layout.Slots; slot++)
            {
                if (_acknowledged[slot] == 0) continue;
                Layout.Version(disk, slot).ShouldBeGreaterThanOrEqualTo(_acknowledged[slot], $"{when}, slot {slot}");
            }
        }

        if (leaks == 0) told.ShouldBeEmpty(when);
        if (repair && !_isRaw) DiskImage.Check(Path)!.IsClean.ShouldBeTrue(when);
        return leaks;
    }

    /// <summary>Lets QEMU find in an image what we find in it: no errors. Clusters that nothing refers to are none.</summary>
    /// <returns>How many of them there are.</returns>
    private long Check(string when)
    {
        const int LeaksOnly = 3;
        DiskImageCheck check = DiskImage.Check(Path)!;
        check.Errors.ShouldBe(0, $"{when}: {string.Join(", ", check.Problems)}");
        if (!ImageFolder.HasQemu) return check.Leaks;
        (int exitCode, string output) = _folder.Run("qemu-img", "check", "-f", "qcow2", Path);
        exitCode.ShouldBe(check.Leaks > 0 ? LeaksOnly : 0, $"{when}: {output}");
        return check.Leaks;
    }
}
