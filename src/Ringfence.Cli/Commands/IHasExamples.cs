namespace Ringfence.Cli.Commands;

/// <summary>A command whose help ends with examples.</summary>
internal interface IHasExamples
{
    /// <summary>The examples, with their heading.</summary>
    string Examples { get; }
}
