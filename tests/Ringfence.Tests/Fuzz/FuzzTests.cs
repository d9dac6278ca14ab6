using System.Collections.Concurrent;
using System.Globalization;
using Ringfence.Machines;
using Ringfence.Tests.Support;
using Xunit.Abstractions;

namespace Ringfence.Tests.Fuzz;

/// <summary>
/// A guest may only harm itself: machines with random memory and random processor states, in every mode, all end normally.
/// RINGFENCE_SEED chooses another run than the default one; each machine is made from the seed, its mode and its number alone.
/// </summary>
public sealed class FuzzTests(ITestOutputHelper output)
{
    private const int MachinesPerMode = 200;
    private const int MultiprocessorMachines = 120;
    private const long InstructionsPerMachine = 100_000;

    // A guest may loop for ever without completing an instruction (an exception handler whose first instruction faults):
    // machines are stopped after this time, and must obey.
    private static readonly TimeSpan RunTime = TimeSpan.FromMilliseconds(150);
    private static readonly TimeSpan HangTime = TimeSpan.FromSeconds(60);
    private static readonly FuzzCode Code = new(1);

    public static TheoryData<FuzzMode> Modes => new(Enum.GetValues<FuzzMode>());

    [EngineTheory]
    [MemberData(nameof(Modes))]
    public void Machines_of_random_bytes_end_normally(FuzzMode mode)
    {
        ulong seed = Seed;
        Run(mode.ToString(), MachinesPerMode, seed, i => new MachineOptions
        {
            MemoryBytes = 4UL << 20,
            Engine = Engines.CurrentKind,
            Deterministic = true,
            ExitOnReset = i % 4 != 0,
            Boot = new FuzzBoot(Code, mode, SeedOf(seed, mode, i), InstructionsPerMachine),
        });
    }

    [EngineFact]
    public void Machines_of_two_processors_and_random_bytes_end_normally()
    {
        ulong seed = Seed;
        FuzzMode[] modes = Enum.GetValues<FuzzMode>();
        Run("two processors", MultiprocessorMachines, seed, i => new MachineOptions
        {
            MemoryBytes = 4UL << 20,
            Engine = Engines.CurrentKind,
            ProcessorCount = 2,
            ExitOnReset = true,
            Boot = new FuzzBoot(Code, modes[i % modes.Length], SeedOf(seed, modes[i % modes.Length], i), 20_000_000),
        });
    }

    [EngineFact]
    public async Task Two_runs_of_a_deterministic_machine_of_random_bytes_are_the_same()
    {
        int compared = 0;
        ulong seed = Seed;
        FuzzMode[] modes = Enum.GetValues<FuzzMode>();
        for (int i = 0; i < 3 * modes.Length; i++)
        {
            MachineOptions options = new()
            {
                MemoryBytes = 4UL << 20,
                Engine = Engines.CurrentKind,
                Deterministic = true,
                ExitOnReset = true,
                Boot = new FuzzBoot(Code, modes[i % modes.Length], SeedOf(seed, modes[i % modes.Length], i), InstructionsPerMachine),
            };
            List<(ulong Hash, ulong Instructions, MachineExitReason Reason)> runs = [];
            for (int run = 0; run < 2; run++)
            {
                await using VirtualMachine machine = VirtualMachine.Create(options);
                machine.Start();
                await Task.WhenAny(machine.Completion, Task.Delay(10 * RunTime));
                MachineExit exit = machine.Stop();
                if (machine.Statistics.Instructions < InstructionsPerMachine && exit.Reason == MachineExitReason.Stopped) continue;
                runs.Add((machine.ExecutionHash, machine.Statistics.Instructions, exit.Reason));
            }

            if (runs.Count < 2) continue;
            compared++;
            runs[1].ShouldBe(runs[0], $"machine {i}, seed {seed}");
        }

        compared.ShouldBeGreaterThan(modes.Length);
    }

    private static ulong Seed =>
        ulong.TryParse(Environment.GetEnvironmentVariable("RINGFENCE_SEED"), CultureInfo.InvariantCulture, out ulong seed) ? seed : 1;

    private static ulong SeedOf(ulong seed, FuzzMode mode, int machine) => seed + ((ulong)mode << 32) + ((ulong)machine * 0x1_0001);

    private void Run(string name, int machines, ulong seed, Func<int, MachineOptions> options)
    {
        ConcurrentDictionary<MachineExitReason, int> ends = [];
        ConcurrentBag<string> failures = [];
        long instructions = 0;
        long exceptions = 0;
        Parallel.For(0, machines, new ParallelOptions { MaxDegreeOfParallelism = 2 }, i =>
        {
            VirtualMachine machine = VirtualMachine.Create(options(i));
            machine.Start();
            machine.Completion.Wait(RunTime);
            if (!Task.Run(machine.Stop).Wait(HangTime))
            {
                // It cannot be disposed of: its threads are still in the guest.
                failures.Add($"machine {i}: does not stop");
                return;
            }

            MachineExit exit = machine.Completion.Result;
            ends.AddOrUpdate(exit.Reason, 1, (_, count) => count + 1);
            Interlocked.Add(ref instructions, (long)machine.Statistics.Instructions);
            Interlocked.Add(ref exceptions, machine.Statistics.Exceptions.Values.Sum());
            if (exit.Reason == MachineExitReason.InternalError) failures.Add($"machine {i}: {exit.Report}");
            machine.Dispose();
        });

        string summary = $"{Engines.Current}, {name}: {machines} machines, {instructions} instructions, {exceptions} exceptions, seed {seed}; "
            + string.Join(", ", ends.Select(end => $"{end.Key} {end.Value}"));
        output.WriteLine(summary);
        Console.WriteLine(summary);
        failures.ShouldBeEmpty(summary);
        instructions.ShouldBeGreaterThan(machines);
    }
}
