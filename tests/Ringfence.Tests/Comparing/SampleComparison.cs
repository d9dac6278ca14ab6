using Ringfence.Cli.Commands;
using Ringfence.Cli.Comparing;
using Ringfence.Cli.Running;
using Ringfence.Devices.Storage;
using Ringfence.Machines;
using Ringfence.Processors.Exits;

namespace Ringfence.Tests.Comparing;

/// <summary>Comparisons whose figures are known.</summary>
internal static class SampleComparison
{
    /// <summary>Two engines: 8 s and 1 s; the second one's instructions counted apart.</summary>
    public static Comparison Create(string guest = "vmlinuz", int forms = 5) => Of(guest, [Interpreter(forms), Translator(forms)]);

    /// <summary>More engines than there are, with names and counts as long as they may get.</summary>
    public static Comparison Many() => Of("vmlinuz", [.. Enumerable.Range(1, 7).Select(i => Interpreter(30) with { Engine = $"paravirtual{i}" })]);

    public static Comparison Of(string guest, IReadOnlyList<EngineRun> runs) => new(
        new CompareOptions
        {
            Command = $"ringfence compare --kernel {guest}",
            Guest = new GuestOptions { Kernel = guest, InitialRamDisks = [], Drives = [], MemoryBytes = 256 << 20, Processors = 1 },
            Engines = [EngineKind.Interpreter, EngineKind.Translator],
            Repetitions = 1,
            Count = true,
            Verbose = false,
            PrintJson = false,
        },
        new GuestInput("poweroff\n"u8.ToArray(), "standard input"),
        runs);

    public static EngineRun Interpreter(int forms) => Run("interpreter", TimeSpan.FromSeconds(8), 987_654_321_012, forms, new()
    {
        [ExitReason.PortIo] = (123_456_789_012, 1),
        [ExitReason.PrivilegedInstruction] = (5_000, 1),
        [ExitReason.Stop] = (1, 0),
    });

    public static EngineRun Translator(int forms) => Run("translator", TimeSpan.FromSeconds(1), 900_000_000, forms, new()
    {
        [ExitReason.PortIo] = (40_000, 0.25),
        [ExitReason.Translation] = (600, 0.25),
        [ExitReason.TlbFill] = (70, 0.125),
        [ExitReason.Mmio] = (1, 0.01),
        [ExitReason.PageFault] = (3, 0.015),
        [ExitReason.ExternalInterrupt] = (9, 0.05),
    }) with
    { IsCountedApart = true };

    private static EngineRun Run(string engine, TimeSpan wall, ulong instructions, int forms, Dictionary<ExitReason, (long Count, double Seconds)> exits)
    {
        Dictionary<ExitReason, TimeSpan> times = exits.ToDictionary(e => e.Key, e => TimeSpan.FromSeconds(e.Value.Seconds));
        TimeSpan monitor = TimeSpan.FromSeconds(exits.Values.Sum(e => e.Seconds));
        return new EngineRun
        {
            Engine = engine,
            End = new RunEnd("power_off", 0),
            Instructions = instructions,
            LastLines = ["Powering off."],
            Statistics = new MachineStatistics
            {
                Engine = engine,
                WallTime = wall,
                GuestTime = wall,
                Instructions = instructions,
                CountsInstructions = true,
                Exits = exits.ToDictionary(e => e.Key, e => e.Value.Count),
                Time = new ExecutionTime { GuestCode = (wall - monitor) * 0.5, Idle = (wall - monitor) * 0.5, Exits = times },
                SensitiveInstructions = Enumerable.Range(0, forms).ToDictionary(i => $"Form_{i}_r64_m128_imm8", i => 1_000_000L / (i + 1)),
                Exceptions = new Dictionary<int, long>(),
                Interrupts = new Dictionary<int, long>(),
                Unimplemented = new Dictionary<string, long>(),
                TouchedMemoryBytes = 100 << 20,
                UnclaimedPortAccesses = 0,
                PageWalks = 77,
                Resets = 0,
                Drives = new Dictionary<string, BlockDriveStatistics>(),
            },
        };
    }
}
