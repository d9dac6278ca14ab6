using System.CommandLine;
using Ringfence.Cli.Host;
using Ringfence.Cli.Imaging;
using Ringfence.Storage;

namespace Ringfence.Cli.Commands;

/// <summary><c>ringfence image convert</c>: copies a disk into an image of its own.</summary>
internal sealed class ImageConvertCommand : Command, IHasExamples
{
    private readonly Argument<string> _source = ImageCommand.Path("IN", "The image to copy.");
    private readonly Argument<string> _target = ImageCommand.Path("OUT", "The copy.");
    private readonly Option<string> _to = ImageCommand.Text("--to", "FORMAT", "The copy's format: qcow2 or raw.");
    private readonly Option<string> _from = ImageCommand.Text("--from", "FORMAT", "The format of what is copied: auto, raw or qcow2. [default: auto]");
    private readonly Option<string> _clusterSize = ImageCommand.Text("--cluster-size", "SIZE", "Bytes of a cluster of a qcow2 copy: a power of two from 512 to 2M. [default: 64K]");
    private readonly Option<bool> _force = new("--force") { Description = "Takes the place of a file that is there." };

    public ImageConvertCommand()
        : base("convert", "Copies a disk, with everything in its backing files, into an image that depends on no other. Zeros take no room in the copy.")
    {
        Add(_source);
        Add(_target);
        Option[] options = [_to, _from, _clusterSize, _force];
        foreach (Option option in options) Add(option);
        SetAction(Copy);
    }

    /// <inheritdoc/>
    public string Examples => """
        Examples:
          ringfence image convert --to qcow2 disk.img disk.qcow2
          ringfence image convert --to raw test.qcow2 test.img

        The copy gets its name when it is complete; Ctrl-C leaves nothing behind.
        """;

    private int Copy(ParseResult result)
    {
        string source = ImageCommand.Read(result, _source), target = ImageCommand.Read(result, _target);
        DiskImageFormat format = Values.CopyFormat("--to", result.GetValue(_to) ?? throw new UserErrorException("convert needs --to qcow2 or --to raw"));
        if (format == DiskImageFormat.Raw && result.GetValue(_clusterSize) is not null) throw new UserErrorException("--cluster-size needs --to qcow2");
        using ProgressLine progress = new();
        using CancellationTokenSource stop = new();
        DiskImageConversionOptions options = new()
        {
            SourceFormat = Values.ImageFormat("--from", result.GetValue(_from) ?? "auto"),
            ClusterBytes = Values.ClusterSize("--cluster-size", result.GetValue(_clusterSize) ?? "64K"),
            Replace = result.GetValue(_force),
            Progress = progress.Show,
        };
        int signal = 0;
        List<IDisposable> signals = EndingSignals.Handle(number =>
        {
            // A second one ends the process at once.
            if (Interlocked.CompareExchange(ref signal, number, 0) != 0) return false;
            stop.Cancel();
            return true;
        });
        try
        {
            DiskImageConversion.Convert(source, target, format, options, stop.Token);
            return ExitCodes.Success;
        }
        catch (OperationCanceledException)
        {
            return ExitCodes.Signal + signal;
        }
        finally
        {
            signals.ForEach(s => s.Dispose());
        }
    }
}
