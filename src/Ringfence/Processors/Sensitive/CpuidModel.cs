using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using Ringfence.Memory;

namespace Ringfence.Processors.Sensitive;

/// <summary>What CPUID answers in one leaf.</summary>
/// <param name="Eax">EAX.</param>
/// <param name="Ebx">EBX.</param>
/// <param name="Ecx">ECX.</param>
/// <param name="Edx">EDX.</param>
internal readonly record struct CpuidLeaf(uint Eax, uint Ebx, uint Ecx, uint Edx);

/// <summary>
/// CPUID (Intel SDM 2A "CPUID"): an Intel family 6 processor of the level x86-64-v2, and nothing it does not do. Leaves above the highest
/// basic or extended one answer as the highest basic leaf.
/// </summary>
internal static unsafe class CpuidModel
{
    /// <summary>Highest basic leaf.</summary>
    public const uint HighestBasic = 0x16;

    /// <summary>Highest extended leaf.</summary>
    public const uint HighestExtended = 0x8000_0008;

    /// <summary>Highest leaf for hypervisors.</summary>
    public const uint HighestHypervisor = 0x4000_0010;

    private const uint HypervisorBase = 0x4000_0000;
    private const string Vendor = "GenuineIntel";
    private const string Hypervisor = "RingfenceVMM";
    private const string Brand = "Ringfence Virtual Processor";

    // Leaf 1 ECX: SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, x2APIC, MOVBE, POPCNT, TSC deadline, RDRAND, hypervisor.
    private const uint FeaturesEcx = 1 | (1 << 9) | (1 << 13) | (1 << 19) | (1 << 20) | (1 << 21) | (1 << 22) | (1 << 23) | (1 << 24)
        | (1 << 30) | (1U << 31);

    // Leaf 1 EDX: FPU, DE, PSE, TSC, MSR, PAE, MCE, CX8, SEP, MTRR, PGE, MCA, CMOV, PAT, PSE-36, CLFSH, MMX, FXSR, SSE, SSE2.
    private const uint FeaturesEdx = 1 | (1 << 2) | (1 << 3) | (1 << 4) | (1 << 5) | (1 << 6) | (1 << 7) | (1 << 8) | (1 << 11)
        | (1 << 12) | (1 << 13) | (1 << 14) | (1 << 15) | (1 << 16) | (1 << 17) | (1 << 19) | (1 << 23) | (1 << 24) | (1 << 25) | (1 << 26);
    private const uint ApicFeature = 1 << 9;
    private const uint HyperThreading = 1 << 28;

    // Leaf 7: FSGSBASE, SMEP, ERMS, SMAP; UMIP; IA32_ARCH_CAPABILITIES.
    private const uint StructuredEbx = 1 | (1 << 7) | (1 << 9) | (1 << 20);
    private const uint StructuredEcx = 1 << 2;
    private const uint StructuredEdx = 1 << 29;

    // Leaf 80000001h: LAHF in 64-bit mode; SYSCALL, NX, 1 GiB pages, RDTSCP, IA-32e mode.
    private const uint ExtendedEcx = 1;
    private const uint ExtendedEdx = (1 << 11) | (1 << 20) | (1 << 26) | (1 << 27) | (1 << 29);

    /// <summary>The instruction.</summary>
    public static void Execute(Processor processor)
    {
        VcpuState* s = processor.State;
        CpuidLeaf leaf = Get(processor, (uint)s->Gpr[0], (uint)s->Gpr[1]);
        s->Gpr[0] = leaf.Eax;
        s->Gpr[3] = leaf.Ebx;
        s->Gpr[1] = leaf.Ecx;
        s->Gpr[2] = leaf.Edx;
    }

    /// <summary>The answer for a leaf and subleaf.</summary>
    public static CpuidLeaf Get(Processor processor, uint leaf, uint subleaf)
    {
        uint highest = (processor.State->MiscEnable & (1 << 22)) != 0 ? 2 : HighestBasic;
        bool known = leaf <= highest
            || leaf is >= HypervisorBase and <= HighestHypervisor
            || leaf is >= 0x8000_0000 and <= HighestExtended;
        if (!known) leaf = highest;
        return leaf switch
        {
            0 => Signature(highest, Vendor, interleaved: true),
            1 => Features(processor),
            2 => new CpuidLeaf(0xff01, 0, 0, 0),
            4 => Caches(processor, subleaf),
            6 => new CpuidLeaf(1 << 2, 0, 0, 0),
            7 when subleaf == 0 => new CpuidLeaf(0, StructuredEbx, StructuredEcx, StructuredEdx),
            0xb => Topology(processor, subleaf),
            0x15 => TimestampRatio(processor),
            0x16 => Frequencies(processor),
            HypervisorBase => Signature(HighestHypervisor, Hypervisor, interleaved: false),
            HighestHypervisor => new CpuidLeaf((uint)(processor.Bus.TimestampFrequency / 1000), LocalTimerHertz / 1000, 0, 0),
            0x8000_0000 => new CpuidLeaf(HighestExtended, 0, 0, 0),
            0x8000_0001 => new CpuidLeaf(0, 0, ExtendedEcx, ExtendedEdx),
            0x8000_0002 or 0x8000_0003 or 0x8000_0004 => BrandPart((int)(leaf - 0x8000_0002)),
            0x8000_0006 => new CpuidLeaf(0, 0, (2048U << 16) | (6 << 12) | 64, 0),
            0x8000_0007 => new CpuidLeaf(0, 0, 0, 1 << 8),
            0x8000_0008 => new CpuidLeaf((48 << 8) | PhysicalMemory.AddressBits, 0, 0, 0),
            _ => default,
        };
    }

    /// <summary>Rate of the local APIC's timer and of the "core crystal clock".</summary>
    private const uint LocalTimerHertz = 1_000_000_000;

    private static CpuidLeaf Signature(uint highest, string name, bool interleaved)
    {
        ReadOnlySpan<byte> bytes = Encoding.ASCII.GetBytes(name);
        uint first = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        uint second = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
        uint third = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
        return interleaved ? new CpuidLeaf(highest, first, third, second) : new CpuidLeaf(highest, first, second, third);
    }

    private static CpuidLeaf Features(Processor processor)
    {
        int count = processor.Bus.ProcessorCount;
        uint slots = BitOperations.RoundUpToPowerOf2((uint)count);
        uint edx = FeaturesEdx;
        if (count > 1) edx |= HyperThreading;
        if (processor.Bus.TryReadApicMsr(processor, Msr.ApicBase, out ulong @base) && (@base & (1 << 11)) != 0) edx |= ApicFeature;
        uint ebx = ((uint)processor.Index << 24) | (slots << 16) | (8 << 8);
        return new CpuidLeaf(Reset.CpuidSignature, ebx, FeaturesEcx, edx);
    }

    /// <summary>
    /// 32 KiB of level 1 for data and code each, 2 MiB of level 2, a processor its own; 32 MiB of level 3 for all. Programs choose
    /// by the last how they copy memory: around it where a copy does not fit, which costs a translated guest more than it wins.
    /// </summary>
    private static CpuidLeaf Caches(Processor processor, uint subleaf)
    {
        uint cores = (BitOperations.RoundUpToPowerOf2((uint)processor.Bus.ProcessorCount) - 1) << 26;
        return subleaf switch
        {
            0 => new CpuidLeaf(cores | 0x121, (7 << 22) | 63, 63, 0),
            1 => new CpuidLeaf(cores | 0x122, (7 << 22) | 63, 63, 0),
            2 => new CpuidLeaf(cores | 0x143, (7 << 22) | 63, 4095, 0),
            3 => new CpuidLeaf(cores | (cores >> 12) | 0x163, (15 << 22) | 63, 32767, 0),
            _ => default,
        };
    }

    /// <summary>One thread a core, all cores in one package.</summary>
    private static CpuidLeaf Topology(Processor processor, uint subleaf)
    {
        uint count = (uint)processor.Bus.ProcessorCount;
        uint id = (uint)processor.Index;
        return subleaf switch
        {
            0 => new CpuidLeaf(0, 1, 1 << 8, id),
            1 => new CpuidLeaf((uint)BitOperations.Log2(BitOperations.RoundUpToPowerOf2(count)), count, 1 | (2 << 8), id),
            _ => new CpuidLeaf(0, 0, subleaf & 0xff, id),
        };
    }

    /// <summary>The counter's rate as a multiple of the crystal's, when it is a whole number of MHz; otherwise not told.</summary>
    private static CpuidLeaf TimestampRatio(Processor processor)
    {
        ulong frequency = processor.Bus.TimestampFrequency;
        return frequency % 1_000_000 != 0
            ? default
            : new CpuidLeaf(LocalTimerHertz / 1_000_000, (uint)(frequency / 1_000_000), LocalTimerHertz, 0);
    }

    private static CpuidLeaf Frequencies(Processor processor)
    {
        uint megahertz = (uint)(processor.Bus.TimestampFrequency / 1_000_000) & 0xffff;
        return new CpuidLeaf(megahertz, megahertz, LocalTimerHertz / 10_000_000, 0);
    }

    private static CpuidLeaf BrandPart(int part)
    {
        Span<byte> bytes = stackalloc byte[48];
        bytes.Clear();
        Encoding.ASCII.GetBytes(Brand, bytes);
        bytes = bytes.Slice(part * 16, 16);
        return new CpuidLeaf(
            BinaryPrimitives.ReadUInt32LittleEndian(bytes),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]));
    }
}
