using System.CommandLine;
using System.Text;
using Ringfence.Cli.Host;
using Ringfence.Cli.Imaging;
using Ringfence.Storage;

namespace Ringfence.Cli.Commands;

/// <summary><c>ringfence image info</c>: what an image says about itself.</summary>
internal sealed class ImageInfoCommand : Command, IHasExamples
{
    private readonly Argument<string> _path = ImageCommand.Path("PATH", "The image.");
    private readonly Option<string> _format = ImageCommand.Text("--format", "FORMAT", "What is printed on standard output: text or json. [default: text]");

    public ImageInfoCommand()
        : base("info", "Shows what an image says about itself. A machine may be using it.")
    {
        Add(_path);
        Add(_format);
        SetAction(Show);
    }

    /// <inheritdoc/>
    public string Examples => """
        Examples:
          ringfence image info disk.qcow2
          ringfence image info --format json disk.qcow2 | jq .virtualBytes
        """;

    private int Show(ParseResult result)
    {
        bool json = Values.IsJson("--format", result.GetValue(_format) ?? "text");
        DiskImageInfo info = DiskImage.Inspect(ImageCommand.Read(result, _path));
        StandardStream.Write(StandardStream.Output, Encoding.UTF8.GetBytes(json ? ImageText.Json(info) : ImageText.Text(info)));
        return ExitCodes.Success;
    }
}
