using System.CommandLine;
using Ringfence.Cli.Listing;
using Ringfence.Cli.Running;
using Ringfence.Execution.Translation.Listing;

namespace Ringfence.Cli.Commands;

/// <summary><c>ringfence translate</c>: shows what binary translation makes of guest code.</summary>
internal sealed class TranslateCommand : Command, IHasExamples
{
    private const ulong DefaultOrigin = 0x1000;

    private readonly Argument<string?> _file = new("FILE") { Description = "A file with the code's bytes and nothing else.", Arity = ArgumentArity.ZeroOrOne };
    private readonly Option<string[]> _hex = new("--hex") { HelpName = "BYTES", Description = "The code's bytes in hexadecimal.", Arity = ArgumentArity.OneOrMore, AllowMultipleArgumentsPerToken = false };
    private readonly Option<string> _bits = Text("--bits", "N", "Size of the code: 16, 32 or 64 bits. [default: 64]");
    private readonly Option<string> _origin = Text("--origin", "ADDRESS", "Address of the first byte, such as 0x7c00. [default: 0x1000]");
    private readonly Option<bool> _rare = new("--rare") { Description = "Lists the rare paths as well: failed checks, ways out, special entries." };
    private readonly Option<bool> _bytes = new("--bytes") { Description = "Shows the bytes of emitted instructions." };

    public TranslateCommand()
        : base("translate", "Shows guest code, its translation units and the fragments they are compiled to. Nothing is executed.")
    {
        Add(_file);
        Option[] options = [_hex, _bits, _origin, _rare, _bytes];
        foreach (Option option in options) Add(option);
        SetAction(result => Translate(Read(result)));
    }

    /// <inheritdoc/>
    public string Examples => """
        Examples:
          ringfence translate --hex "89 f9 39 ce 7d 01 90 c3"
              translates 64-bit code
          ringfence translate --bits 16 --origin 0x7c00 bootsector.bin
              translates a boot sector where the firmware loads it
          ringfence translate --bits 32 --rare --hex "8b 45 08 01 05 00 10 40 00 c3"
              with what happens when a check fails

        Labels of emitted instructions:
          IDENT    the guest's own             MEM      a checked access to memory
          JCC      a conditional branch        JMP      a jump
          CALL     a call                      RET      a return
          INLINE   done in place               CALLOUT  done by the monitor
          POLL     looks for events            FLAGS    saves or loads the status flags
          LINK     the way on                  ENTRY    a special entry
        """;

    private static Option<string> Text(string name, string value, string description) =>
        new(name) { HelpName = value, Description = description, Arity = ArgumentArity.ExactlyOne };

    private static int Translate(TranslateOptions options)
    {
        if (!TranslationListing.IsSupported) throw new UserErrorException("binary translation needs x86-64 Linux");
        new ListingPrinter(TranslationListing.Create(options.Code, options.Bits, options.Origin), options).Print();
        return ExitCodes.Success;
    }

    private TranslateOptions Read(ParseResult result)
    {
        string? file = result.GetValue(_file);
        string[] hex = result.GetValue(_hex) ?? [];
        int bits = Values.CodeBits(result.GetValue(_bits) ?? "64");
        ulong origin = result.GetValue(_origin) is { } address ? Values.Address("--origin", address) : DefaultOrigin;
        if (file is not null && hex.Length > 0) throw new UserErrorException("FILE and --hex exclude each other");
        byte[] code = file is not null ? ReadFile(file)
            : hex.Length > 0 ? Values.HexBytes("--hex", string.Join(' ', hex))
            : throw new UserErrorException("translate needs a FILE or --hex BYTES; see ringfence translate --help");
        if (code.Length == 0) throw new UserErrorException(file is not null ? $"{file}: is empty" : "--hex: there are no bytes");
        if (code.Length > TranslationListing.MaxCodeBytes) throw new UserErrorException($"{file ?? "--hex"}: {TooLarge}");
        if (!TranslationListing.Fits(code.Length, bits, origin))
            throw new UserErrorException($"--origin: {code.Length} bytes of {bits}-bit code do not fit at 0x{origin:x}");
        return new TranslateOptions(code, bits, origin, result.GetValue(_rare), result.GetValue(_bytes));
    }

    private static byte[] ReadFile(string path)
    {
        if (path.StartsWith('-') && !File.Exists(path)) throw new UserErrorException($"'{path}' is not an option; see ringfence translate --help");
        return InputFile.Read(path, TranslationListing.MaxCodeBytes, TooLarge);
    }

    private static string TooLarge => $"at most {TranslationListing.MaxCodeBytes >> 10} KiB of code can be listed";
}
