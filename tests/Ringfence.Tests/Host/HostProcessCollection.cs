namespace Ringfence.Tests.Host;

/// <summary>Tests that look at the whole process: its mappings, its signals, its garbage collections. Nothing runs beside them.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class HostProcessCollection
{
    public const string Name = "host process";
}
