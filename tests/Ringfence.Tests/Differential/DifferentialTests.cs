using System.Globalization;
using Iced.Intel;
using Ringfence.Tests.Support;
using Xunit.Abstractions;

namespace Ringfence.Tests.Differential;

/// <summary>
/// Every engine against the host's own processor. RINGFENCE_SEED chooses another run than the default one, RINGFENCE_CASES sets the cases of a test,
/// RINGFENCE_CODE names one of Iced's codes to run alone.
/// </summary>
[Collection(nameof(DifferentialTests))]
public sealed class DifferentialTests(ITestOutputHelper output)
{
    private const long DefaultCases = 1_000_000;

    public static TheoryData<InstructionFamily, int> Rows
    {
        get
        {
            TheoryData<InstructionFamily, int> rows = [];
            foreach (InstructionFamily family in Enum.GetValues<InstructionFamily>())
            {
                rows.Add(family, 64);
                rows.Add(family, 32);
            }

            return rows;
        }
    }

    [EngineTheory]
    [MemberData(nameof(Rows))]
    public void Random_instructions_do_what_they_do_on_the_host_processor(InstructionFamily family, int bitness)
    {
        Skip.IfNot(HostCpu.IsSupported, "The host is not x86-64 Linux.");
        ulong seed = Setting("RINGFENCE_SEED") is ulong given ? given : 1;
        long cases = (long)(Setting("RINGFENCE_CASES") ?? DefaultCases) / (bitness == 32 ? 3 : 1);
        Code[] codes = InstructionPool.Of(family, bitness);
        string? only = Environment.GetEnvironmentVariable("RINGFENCE_CODE");
        if (only is not null) codes = [.. codes.Where(code => code.ToString().StartsWith(only, StringComparison.OrdinalIgnoreCase))];
        Skip.If(codes.Length == 0, $"No code of the family begins with {only}.");

        using DifferentialRun run = new(seed, bitness);
        run.Run(codes, cases);

        string summary = $"{Engines.Current}, {family}, {bitness}-bit: {run.Cases} cases of {codes.Length} codes, {run.Faults} faults, seed {seed}; "
            + $"not run: {string.Join(' ', run.NeverRun)}";
        output.WriteLine(summary);
        Console.WriteLine(summary);
        run.Report().ShouldBeEmpty();
        run.Cases.ShouldBeGreaterThanOrEqualTo(cases);
        if (only is null) run.NeverRun.Count.ShouldBeLessThan(codes.Length / 20);
    }

    private static ulong? Setting(string name) =>
        ulong.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out ulong value) ? value : null;
}
