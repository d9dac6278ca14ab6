using System.Collections.Concurrent;
using Ringfence.Tests.Support;

namespace Ringfence.Tests;

public sealed class EnginesTests
{
    private readonly string _atConstruction = Engines.Current;

    [EngineFact]
    public void A_test_makes_the_engine_of_its_row()
    {
        using var machine = new BareProcessor();
        machine.Engine.Name.ShouldBe(Engines.Current);
    }

    [EngineTheory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task The_rows_engine_is_the_same_in_the_constructor_and_on_every_thread_that_the_test_starts(int threads)
    {
        ConcurrentBag<string> seen = [await Task.Run(() => Engines.Current)];
        Parallel.For(0, 100, new ParallelOptions { MaxDegreeOfParallelism = threads }, _ => seen.Add(Engines.Current));
        Thread thread = new(() => seen.Add(Engines.Current));
        thread.Start();
        thread.Join();
        seen.ShouldAllBe(engine => engine == _atConstruction);
        Engines.Names.ShouldContain(_atConstruction);
    }
}
