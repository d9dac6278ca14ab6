using BenchmarkDotNet.Attributes;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Bench;

/// <summary>Nanoseconds for each guest instruction of small loops: what dispatch, flags, memory and calls cost.</summary>
public class DispatchBenchmarks
{
    private const int Instructions = 10_000_000;
    private Loops _loop = null!;

    /// <summary>Which loop.</summary>
    [Params("arithmetic", "memory", "read-modify-write", "calls", "division")]
    public string Loop { get; set; } = "";

    /// <summary>Assembles the loop.</summary>
    [GlobalSetup]
    public void Setup() => _loop = new Loops(a =>
    {
        Label top = a.CreateLabel();
        Label function = a.CreateLabel();
        a.mov(ebx, 0x20000);
        a.mov(ecx, 3);
        a.Label(ref top);
        switch (Loop)
        {
            case "arithmetic":
                a.add(eax, ecx);
                a.xor(edx, eax);
                a.shr(edx, 3);
                a.cmp(eax, edx);
                break;
            case "memory":
                a.movzx(eax, __byte_ptr[ebx + ecx]);
                a.mov(edx, __dword_ptr[eax * 4 + 0x30000]);
                a.mov(__dword_ptr[ebx + 8], edx);
                break;
            case "read-modify-write":
                a.add(__dword_ptr[ebx], ecx);
                a.inc(__dword_ptr[ebx + 4]);
                break;
            case "calls":
                a.call(function);
                a.call(function);
                break;
            default:
                a.mov(eax, 1000);
                a.cdq();
                a.idiv(ecx);
                break;
        }

        a.jmp(top);
        a.Label(ref function);
        a.push(ebp);
        a.mov(ebp, esp);
        a.pop(ebp);
        a.ret();
    });

    /// <summary>Frees the guest.</summary>
    [GlobalCleanup]
    public void Cleanup() => _loop.Dispose();

    /// <summary>Runs it.</summary>
    [Benchmark(OperationsPerInvoke = Instructions)]
    public void Run() => _loop.Run(Instructions);
}
