using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;

namespace Ringfence.Virtualizability.HostProcessors;

/// <summary>Which processor the host has, and how its kernel set it up, as far as instructions at CPL 3 depend on it.</summary>
/// <param name="Brand">The brand string, such as <c>AMD EPYC 7763 64-Core Processor</c>.</param>
/// <param name="Vendor">CPUID leaf 0: <c>GenuineIntel</c>, <c>AuthenticAMD</c>.</param>
/// <param name="Umip">CR4.UMIP is set: the kernel reports the feature only where it uses it.</param>
/// <param name="Hypervisor">The processor is a virtual one (CPUID.1:ECX[31]).</param>
internal sealed record HostIdentity(string Brand, string Vendor, bool Umip, bool Hypervisor)
{
    private const string ProcessorInformation = "/proc/cpuinfo";
    private const uint ExtendedLeaves = 0x8000_0000;
    private const uint BrandLeaf = 0x8000_0002;

    private readonly HashSet<string> _flags = [];

    private HostIdentity(string brand, string vendor, HashSet<string> flags, bool hypervisor)
        : this(brand, vendor, flags.Contains("umip"), hypervisor) => _flags = flags;

    /// <summary>An AMD processor or one after its manuals.</summary>
    public bool IsAmd => Vendor is "AuthenticAMD" or "HygonGenuine";

    /// <summary>Does the kernel report a feature, by its name in /proc/cpuinfo?</summary>
    public bool HasFlag(string name) => _flags.Contains(name);

    /// <summary>This host's; null where the processor is not an x86.</summary>
    public static HostIdentity? Read()
    {
        if (!X86Base.IsSupported) return null;
        (_, int ebx, int ecx, int edx) = X86Base.CpuId(0, 0);
        string vendor = Text([ebx, edx, ecx]);
        (_, _, int features, _) = X86Base.CpuId(1, 0);
        return new HostIdentity(ReadBrand() ?? vendor, vendor, ReadFlags(), features < 0);
    }

    private static string? ReadBrand()
    {
        if ((uint)X86Base.CpuId(unchecked((int)ExtendedLeaves), 0).Eax < BrandLeaf + 2) return null;
        var words = new List<int>();
        for (uint leaf = BrandLeaf; leaf <= BrandLeaf + 2; leaf++)
        {
            (int eax, int ebx, int ecx, int edx) = X86Base.CpuId((int)leaf, 0);
            words.AddRange([eax, ebx, ecx, edx]);
        }

        string brand = Text([.. words]);
        return brand.Length > 0 ? brand : null;
    }

    private static string Text(ReadOnlySpan<int> words) =>
        Encoding.ASCII.GetString(MemoryMarshal.AsBytes(words)).Trim('\0', ' ');

    private static HashSet<string> ReadFlags()
    {
        try
        {
            string? flags = File.ReadLines(ProcessorInformation).FirstOrDefault(line => line.StartsWith("flags", StringComparison.Ordinal));
            return flags is null ? [] : [.. flags.Split([' ', '\t', ':'], StringSplitOptions.RemoveEmptyEntries)];
        }
        catch (IOException)
        {
            return [];
        }
    }
}
