using System.CommandLine;
using System.Text;
using Ringfence.Cli.Host;
using Ringfence.Storage;

namespace Ringfence.Cli.Commands;

/// <summary><c>ringfence image check</c>: looks at all tables of an image.</summary>
internal sealed class ImageCheckCommand : Command, IHasExamples
{
    private readonly Argument<string> _path = ImageCommand.Path("PATH", "The image.");
    private readonly Option<bool> _repair = new("--repair") { Description = "Sets reference counts right and gives lost room back." };

    public ImageCheckCommand()
        : base("check", "Looks at all tables of a qcow2 image: does everything lie within the file, does nothing lie upon something else, are references counted right.")
    {
        Add(_path);
        Add(_repair);
        SetAction(Check);
    }

    /// <inheritdoc/>
    public string Examples => """
        Examples:
          ringfence image check disk.qcow2
          ringfence image check --repair disk.qcow2

        Exit codes:
          0 nothing is wrong (any more)    1 something is wrong, or the image cannot be checked
        """;

    private int Check(ParseResult result)
    {
        string path = ImageCommand.Read(result, _path);
        DiskImageCheck? check = DiskImage.Check(path, result.GetValue(_repair));
        StringBuilder text = new();
        foreach (string problem in check?.Problems ?? []) text.Append(problem).Append('\n');
        long more = check is null ? 0 : check.Errors + check.Leaks + check.Repaired - check.Problems.Count;
        if (check is { Problems.Count: >= 20 } && more > 0) text.Append($"and {more} more\n");
        text.Append(path).Append(": ").Append(Summary(check)).Append('\n');
        StandardStream.Write(StandardStream.Output, Encoding.UTF8.GetBytes(text.ToString()));
        return check is null or { IsClean: true } ? ExitCodes.Success : ExitCodes.UserError;
    }

    private static string Summary(DiskImageCheck? check) => check switch
    {
        null => "has no tables that could be wrong",
        { IsClean: true, Repaired: 0 } => "nothing is wrong",
        { IsClean: true } => $"{check.Repaired} repaired, nothing is wrong any more",
        _ => $"{check.Errors} errors, {check.Leaks} lost clusters{(check.Errors == 0 ? "; the disk's contents are safe" : "")}",
    };
}
