using System.Runtime.InteropServices;
using System.Text;
using Iced.Intel;

namespace Ringfence.Tests.Differential;

/// <summary>Runs random cases of one family on the host's processor and in an engine, and collects the first failure of each code, shrunk.</summary>
internal sealed unsafe class DifferentialRun : IDisposable
{
    private const int StatesPerInstruction = 48;
    private const int FailuresReported = 40;

    private readonly HostCpu _host = HostCpu.Create();
    private readonly GuestCpu _guest;
    private readonly ulong _seed;
    private readonly int _bitness;
    private readonly CpuImage* _images = (CpuImage*)NativeMemory.AlignedAlloc((nuint)(5 * sizeof(CpuImage)), 64);
    private readonly SortedDictionary<Code, string> _failures = [];

    /// <summary>Prepares a run in the current engine.</summary>
    public DifferentialRun(ulong seed, int bitness)
    {
        _seed = seed;
        _bitness = bitness;
        NativeMemory.Clear(_images, (nuint)(5 * sizeof(CpuImage)));
        _guest = new GuestCpu(_host.Base);
    }

    /// <summary>Cases executed so far.</summary>
    public long Cases { get; private set; }

    /// <summary>Cases in which the host faulted.</summary>
    public long Faults { get; private set; }

    /// <summary>Codes of which no encoding or no safe state was found.</summary>
    public HashSet<Code> NeverRun { get; } = [];

    /// <summary>The failures, one for each code; empty if engine and host agree.</summary>
    public string Report()
    {
        if (_failures.Count == 0) return "";
        StringBuilder text = new();
        text.AppendLine($"{_failures.Count} codes differ (seed {_seed}, {_bitness}-bit):");
        foreach (string failure in _failures.Values.Take(FailuresReported)) text.AppendLine(failure);
        return text.ToString();
    }

    /// <summary>Runs instructions of the codes in turn until <paramref name="cases"/> cases have been executed.</summary>
    public void Run(Code[] codes, long cases)
    {
        HashSet<Code> ran = [];
        long end = Cases + cases;
        for (ulong index = 0; Cases < end; index++)
        {
            Code code = codes[(int)(index % (ulong)codes.Length)];
            if (index < (ulong)codes.Length) NeverRun.Add(code);

            // Each instruction has its own generator, so that it can be made again without the ones before it.
            CaseRandom random = new(_seed + (index * 0x1_0000_0001));
            TestInstruction? test = new InstructionGenerator(random, _host.Base, _bitness).TryCreate(code);
            if (test is null) continue;
            long before = Cases;
            RunStates(test, random);
            if (Cases > before) ran.Add(code);
            if (index > (ulong)codes.Length * 20 && ran.Count == 0) break;
        }

        NeverRun.ExceptWith(ran);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _guest.Dispose();
        _host.Dispose();
        NativeMemory.AlignedFree(_images);
    }

    private void RunStates(TestInstruction test, CaseRandom random)
    {
        StateGenerator states = new(random, _host.Base, _bitness);
        _host.SetCode(test.Offset, test.Bytes, test.BranchTarget, test.Bitness);
        _guest.SetCode(test.Offset, test.Bytes, test.BranchTarget, test.Bitness);
        ref CpuImage before = ref _images[0];
        states.FillMemory(ref before);
        for (int i = 0; i < StatesPerInstruction; i++)
        {
            if (!states.TryCreate(test, ref before))
            {
                if (i == 0) return;
                continue;
            }

            Cases++;
            List<string> differences = Execute(test, before);
            if (differences.Count == 0) continue;
            if (!_failures.ContainsKey(test.Decoded.Code)) _failures.Add(test.Decoded.Code, Describe(test, states));
            return;
        }
    }

    private List<string> Execute(TestInstruction test, in CpuImage before)
    {
        _host.Run(before, out _images[1]);
        string? problem = _guest.Run(before, out _images[2]);
        if (_images[1].Vector >= 0) Faults++;
        if (problem is not null) return [$"{problem}; the host ended with vector {_images[1].Vector}"];
        return Comparison.Differences(test, before, _images[1], _images[2]);
    }

    /// <summary>Takes away everything the difference does not need, then prints what is left.</summary>
    private string Describe(TestInstruction test, StateGenerator states)
    {
        ref CpuImage smallest = ref _images[3];
        ref CpuImage attempt = ref _images[4];
        smallest = _images[0];
        foreach (Action<StateView> simplify in StateView.Simplifications)
        {
            attempt = smallest;
            simplify(new StateView(_images + 4));
            if (states.IsSafe(test, attempt) && Execute(test, attempt).Count > 0) smallest = attempt;
        }

        List<string> differences = Execute(test, smallest);
        StringBuilder text = new();
        text.AppendLine(test.ToString());
        text.AppendLine($"  at 0x{test.Decoded.IP:x}, with {new StateView(_images + 3)}");
        if (test.BranchTarget != 0) text.AppendLine($"  branch target 0x{_host.Base + test.BranchTarget:x}");
        foreach (string difference in differences) text.AppendLine($"  {difference}");
        return text.ToString();
    }
}
