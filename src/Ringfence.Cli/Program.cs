using Ringfence.Cli.Commands;

return CommandLine.Run(args);
