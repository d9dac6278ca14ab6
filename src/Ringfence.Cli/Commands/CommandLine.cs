using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Reflection;
using Ringfence.Firmware;
using Ringfence.Storage;

namespace Ringfence.Cli.Commands;

/// <summary>The command <c>ringfence</c>: finds out what is asked for, and turns every failure into a line and an exit code.</summary>
internal static class CommandLine
{
    private const string Examples = """
        Examples:
          ringfence                                       boots the built-in guest to its shell
          ringfence run --kernel vmlinuz --rootfs ./dir   boots Linux with a folder as its root
          ringfence compare                               compares the engines with the built-in guest
          ringfence translate --hex "89 f9 c3"            shows what binary translation makes of code
          ringfence analyze                               asks whether x86 can be virtualized by trap and emulate
          ringfence image create --size 10G disk.qcow2    makes a disk
          ringfence run --help                            shows all options
        """;

    private static readonly string[] OwnOptions = ["--help", "-h", "-?", "/?", "/h", "--version"];

    /// <summary>Does what the arguments ask for.</summary>
    /// <returns>The exit code.</returns>
    public static int Run(string[] args)
    {
        try
        {
            // Without a command, run is meant.
            if (args.Length == 0 || (args[0].StartsWith('-') && !OwnOptions.Contains(args[0]))) args = ["run", .. args];
            if (args is ["--version"])
            {
                Console.WriteLine($"ringfence {Version}");
                return ExitCodes.Success;
            }

            Command root = new("ringfence", "Ringfence: a virtual machine monitor for x86 PCs.") { new VersionOption(), new RunCommand(), new CompareCommand(), new TranslateCommand(), new AnalyzeCommand(), new ImageCommand(), new ScreenshotCommand() };
            AddExamples(root, Examples);
            foreach (Command command in root.Subcommands.Concat(root.Subcommands.SelectMany(c => c.Subcommands)))
                if (command is IHasExamples examples) AddExamples(command, examples.Examples);
            ParseResult result = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
            if (result.Errors.Count > 0 && result.Action is not HelpAction) throw new UserErrorException(Describe(result));
            if (result.CommandResult.Command == root && result.Action is null) throw new UserErrorException("no command is given; see ringfence --help");
            return result.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (Exception error) when (error is UserErrorException or BootImageException or BlockImageException)
        {
            Messages.Error(error.Message);
            return ExitCodes.UserError;
        }
        catch (Exception error)
        {
            Messages.Error($"internal error: {error.Message}");
            Messages.Write(error.ToString());
            return ExitCodes.InternalError;
        }
    }

    private static string Version
    {
        get
        {
            string version = Assembly.GetExecutingAssembly().GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "0";
            return version.Split('+')[0];
        }
    }

    private static string Describe(ParseResult result)
    {
        if (result.UnmatchedTokens is [string unmatched, ..])
            return $"'{unmatched}' is not {(unmatched.StartsWith('-') ? "an option" : "a command or an option")}; see ringfence --help";
        Command command = result.CommandResult.Command;
        if (command.Action is null) return $"no command is given; see ringfence {command.Name} --help";
        return result.Errors[0].Message.TrimEnd('.');
    }

    private static void AddExamples(Command command, string examples)
    {
        HelpOption? help = command.Options.OfType<HelpOption>().FirstOrDefault();
        if (help is null)
        {
            help = new HelpOption();
            command.Add(help);
        }

        if (help.Action is HelpAction standard) help.Action = new HelpWithExamples(standard, examples);
    }

    private sealed class HelpWithExamples(HelpAction standard, string examples) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            int result = standard.Invoke(parseResult);
            parseResult.InvocationConfiguration.Output.WriteLine(examples);
            return result;
        }
    }
}
