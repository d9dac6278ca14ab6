using System.CommandLine;

namespace Ringfence.Cli.Commands;

/// <summary><c>ringfence image</c>: makes, describes, copies and checks disk images.</summary>
internal sealed class ImageCommand : Command, IHasExamples
{
    public ImageCommand()
        : base("image", "Makes, describes, copies and checks disk images: raw and qcow2.")
    {
        Add(new ImageCreateCommand());
        Add(new ImageInfoCommand());
        Add(new ImageConvertCommand());
        Add(new ImageCheckCommand());
    }

    /// <inheritdoc/>
    public string Examples => """
        Examples:
          ringfence image create --size 10G disk.qcow2
              an empty disk that takes room as it is written
          ringfence image create --backing debian.qcow2 test.qcow2
              a disk that begins as a copy of another one, which is only read
          ringfence image info disk.qcow2
          ringfence image convert --to raw disk.qcow2 disk.img
          ringfence image check --repair disk.qcow2
        """;

    /// <summary>An option with a value.</summary>
    public static Option<string> Text(string name, string value, string description) =>
        new(name) { HelpName = value, Description = description, Arity = ArgumentArity.ExactlyOne };

    /// <summary>An image's path.</summary>
    public static Argument<string> Path(string name, string description) => new(name) { Description = description, Arity = ArgumentArity.ExactlyOne };

    /// <summary>Reads a path. What begins with a dash and does not exist was meant as an option.</summary>
    public static string Read(ParseResult result, Argument<string> argument)
    {
        string path = result.GetValue(argument)!;
        if (path.StartsWith('-') && !System.IO.Path.Exists(path)) throw new UserErrorException($"'{path}' is not an option; see ringfence --help");
        return path;
    }
}
