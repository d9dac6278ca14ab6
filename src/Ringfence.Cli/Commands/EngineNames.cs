using Ringfence.Execution.Translation.Listing;
using Ringfence.Machines;

namespace Ringfence.Cli.Commands;

/// <summary>The engines by name: each <see cref="EngineKind"/> is one, in lower case.</summary>
internal static class EngineNames
{
    /// <summary>What executes guest code as such: all but the choice of one and the debugging aid.</summary>
    public static IReadOnlyList<EngineKind> Techniques { get; } = [.. Enum.GetValues<EngineKind>().Where(kind => kind is not (EngineKind.Auto or EngineKind.LockStep))];

    /// <summary>The name of an engine.</summary>
    public static string NameOf(EngineKind kind) => kind.ToString().ToLowerInvariant();

    /// <summary>The engine of a name.</summary>
    public static EngineKind? Find(string name)
    {
        foreach (EngineKind kind in Enum.GetValues<EngineKind>())
        {
            if (NameOf(kind) == name) return kind;
        }

        return null;
    }

    /// <summary>Can this host run it?</summary>
    public static bool IsSupported(EngineKind kind) => kind is EngineKind.Auto or EngineKind.Interpreter || TranslationListing.IsSupported;

    /// <summary>
    /// Does it count every instruction without being told to? Another one needs <see cref="MachineOptions.CountInstructions"/>, and is slower then.
    /// </summary>
    public static bool CountsInstructions(EngineKind kind) => kind == EngineKind.Interpreter;
}
