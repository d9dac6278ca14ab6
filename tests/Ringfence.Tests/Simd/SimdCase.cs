using System.Runtime.CompilerServices;

namespace Ringfence.Tests.Simd;

/// <summary>What an instruction works on in the tests against the host: RDI points to it, 64-byte aligned.</summary>
[InlineArray(32)]
internal struct SimdCase
{
    public const int Xmm = 0;
    public const int Mmx = 64;
    public const int General = 96;
    public const int Mxcsr = 120;
    public const int Flags = 128;
    public const int Memory = 144;
    public const int Size = 256;

    private ulong _first;
}
