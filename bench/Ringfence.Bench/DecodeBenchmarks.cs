using BenchmarkDotNet.Attributes;
using Iced.Intel;
using Ringfence.Processors.Instructions;

namespace Ringfence.Bench;

/// <summary>Turning instruction bytes into operations: Iced's part and ours.</summary>
public unsafe class DecodeBenchmarks
{
    private const int Instructions = 8;
    private byte[] _code = [];

    /// <summary>A typical function's beginning.</summary>
    [GlobalSetup]
    public void Setup() => _code = Convert.FromHexString("554889e5488b47084883c00189070fb6068d04808945fc0f84f0000000");

    /// <summary>Iced alone.</summary>
    [Benchmark(Baseline = true, OperationsPerInvoke = Instructions)]
    public int Iced()
    {
        Decoder decoder = Decoder.Create(64, _code, OperationDecoder.Options);
        int length = 0;
        for (int i = 0; i < Instructions; i++) length += decoder.Decode().Length;
        return length;
    }

    /// <summary>Iced, operand fields and the choice of the handler.</summary>
    [Benchmark(OperationsPerInvoke = Instructions)]
    public int Operations()
    {
        Decoder decoder = Decoder.Create(64, _code, OperationDecoder.Options);
        Operation operation;
        int at = 0;
        for (int i = 0; i < Instructions; i++)
        {
            Instruction instruction = decoder.Decode();
            OperationDecoder.Decode(instruction, &operation, at, isLong: true, i + 1);
            at += operation.Length;
        }

        return at;
    }
}
