using BenchmarkDotNet.Attributes;
using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Bench;

/// <summary>The slow paths of memory: a 4-level page walk, and a whole flush.</summary>
public unsafe class MemoryBenchmarks
{
    private PhysicalMemory _memory = null!;
    private Processor _processor = null!;

    /// <summary>Makes page tables that map 2 MiB at 0.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _memory = new PhysicalMemory(16 << 20);
        _processor = new Processor(0, _memory, new NoBus());
        Entry(0x1000, 0x2003);
        Entry(0x2000, 0x3003);
        Entry(0x3000, 0x4003);
        for (ulong i = 0; i < 512; i++) Entry(0x4000 + (i * 8), (i << 12) | 3);
        VcpuState* s = _processor.State;
        s->Cr0 = Cr0.Pe | Cr0.Pg;
        s->Cr4 = Cr4.Pae;
        s->Cr3 = 0x1000;
        s->Efer = Efer.Lme | Efer.Lma;
        _processor.RefreshMode();
    }

    /// <summary>Frees the guest.</summary>
    [GlobalCleanup]
    public void Cleanup()
    {
        _processor.Dispose();
        _memory.Dispose();
    }

    /// <summary>One walk of four levels, rights checked, accessed bits set already.</summary>
    [Benchmark]
    public bool PageWalk() =>
        PageWalker.TryWalk(_processor.State, _memory, 0x5000, PageAccess.Read, sideEffects: true, out _, out _);

    /// <summary>Forgetting all translations (MOV CR3).</summary>
    [Benchmark]
    public void Flush() => _processor.Mmu.Flush();

    private void Entry(ulong at, ulong value) => _memory.Write(new GuestPhysical(at), BitConverter.GetBytes(value));
}
