namespace Ringfence.Cli.Commands;

/// <summary>What <c>ringfence translate</c> was asked for.</summary>
/// <param name="Code">The guest code.</param>
/// <param name="Bits">Its size.</param>
/// <param name="Origin">Address of its first byte.</param>
/// <param name="ShowRarePaths">List what lies out of line, too.</param>
/// <param name="ShowBytes">Show the bytes of emitted instructions.</param>
internal sealed record TranslateOptions(byte[] Code, int Bits, ulong Origin, bool ShowRarePaths, bool ShowBytes);
