using System.CommandLine;
using Ringfence.Storage;

namespace Ringfence.Cli.Commands;

/// <summary><c>ringfence image create</c>: makes an empty image, or one upon another.</summary>
internal sealed class ImageCreateCommand : Command, IHasExamples
{
    private readonly Argument<string> _path = ImageCommand.Path("PATH", "The image.");
    private readonly Option<string> _format = ImageCommand.Text("--format", "FORMAT", "The format: qcow2 or raw. [default: as the name ends: .qcow2, otherwise raw]");
    private readonly Option<string> _size = ImageCommand.Text("--size", "SIZE", "Bytes of the disk, such as 10G. [default: those of the backing file]");
    private readonly Option<string> _backing = ImageCommand.Text("--backing", "FILE", "What is read where nothing has been written (qcow2). A relative path is one from the folder of the new image.");
    private readonly Option<string> _backingFormat = ImageCommand.Text("--backing-format", "FORMAT", "The backing file's format: auto, raw or qcow2. [default: auto]");
    private readonly Option<string> _clusterSize = ImageCommand.Text("--cluster-size", "SIZE", "Bytes of a cluster (qcow2): a power of two from 512 to 2M. [default: 64K]");
    private readonly Option<bool> _force = new("--force") { Description = "Takes the place of a file that is there." };

    public ImageCreateCommand()
        : base("create", "Makes an image. It takes hardly any room until it is written.")
    {
        Add(_path);
        Option[] options = [_format, _size, _backing, _backingFormat, _clusterSize, _force];
        foreach (Option option in options) Add(option);
        SetAction(Create);
    }

    /// <inheritdoc/>
    public string Examples => """
        Examples:
          ringfence image create --size 10G disk.qcow2
          ringfence image create --format raw --size 1440K floppy.img
          ringfence image create --backing debian.qcow2 test.qcow2
        """;

    private int Create(ParseResult result)
    {
        string path = ImageCommand.Read(result, _path);
        long? size = result.GetValue(_size) is { } text ? Values.DiskSize("--size", text) : null;
        string? backing = result.GetValue(_backing);
        bool force = result.GetValue(_force);
        DiskImageFormat format = result.GetValue(_format) is { } named ? Values.CopyFormat("--format", named)
            : path.EndsWith(".qcow2", StringComparison.OrdinalIgnoreCase) ? DiskImageFormat.Qcow2 : DiskImageFormat.Raw;
        if (format == DiskImageFormat.Raw)
        {
            foreach (Option<string> option in new[] { _backing, _backingFormat, _clusterSize })
                if (result.GetValue(option) is not null) throw new UserErrorException($"{option.Name} needs --format qcow2");
        }

        if (result.GetValue(_backingFormat) is not null && backing is null) throw new UserErrorException("--backing-format needs --backing");
        if (size is null && backing is null) throw new UserErrorException($"a new image needs {(format == DiskImageFormat.Raw ? "--size" : "--size or --backing")}");
        if (format == DiskImageFormat.Raw)
        {
            DiskImage.CreateRaw(path, size!.Value, force);
        }
        else
        {
            DiskImageFormat backingFormat = Values.ImageFormat("--backing-format", result.GetValue(_backingFormat) ?? "auto");
            int clusterBytes = Values.ClusterSize("--cluster-size", result.GetValue(_clusterSize) ?? "64K");
            DiskImage.CreateQcow2(path, size, backing, backingFormat, clusterBytes, force);
        }

        return ExitCodes.Success;
    }
}
