using BenchmarkDotNet.Attributes;
using Iced.Intel;
using Ringfence.Machines;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Bench;

/// <summary>Nanoseconds for each guest instruction of x87 and MMX loops, by the interpreter's own arithmetic and on the host's unit.</summary>
public class X87Benchmarks
{
    private const int Instructions = 5_000_000;
    private const uint Data = 0x20000;
    private Loops _loop = null!;

    /// <summary>The engine.</summary>
    [Params(EngineKind.Interpreter, EngineKind.Translator)]
    public EngineKind Engine { get; set; }

    /// <summary>Which loop.</summary>
    [Params("registers", "memory", "mmx")]
    public string Loop { get; set; } = "";

    /// <summary>Assembles the loop.</summary>
    [GlobalSetup]
    public void Setup() => _loop = new Loops(
        a =>
        {
            Label top = a.CreateLabel();
            a.fninit();
            a.mov(ebx, Data);
            a.mov(__dword_ptr[ebx], BitConverter.SingleToInt32Bits(0.75f));
            a.fld(__dword_ptr[ebx]);
            a.fld1();
            a.fld1();
            a.Label(ref top);
            switch (Loop)
            {
                case "registers":
                    a.fmul(st0, st2);
                    a.fadd(st0, st1);
                    a.fmul(st0, st2);
                    a.fsub(st0, st1);
                    break;
                case "memory":
                    a.fld(__dword_ptr[ebx]);
                    a.fmul(__dword_ptr[ebx]);
                    a.fadd(__dword_ptr[ebx]);
                    a.fstp(__dword_ptr[ebx + 4]);
                    break;
                default:
                    a.movq(mm0, __qword_ptr[ebx]);
                    a.paddw(mm0, mm1);
                    a.pmullw(mm0, mm2);
                    a.movq(__qword_ptr[ebx + 8], mm0);
                    break;
            }

            a.jmp(top);
        },
        Engine);

    /// <summary>Frees the guest.</summary>
    [GlobalCleanup]
    public void Cleanup() => _loop.Dispose();

    /// <summary>Runs it.</summary>
    [Benchmark(OperationsPerInvoke = Instructions)]
    public void Run() => _loop.Run(Instructions);
}
