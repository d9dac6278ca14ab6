using Ringfence.Firmware;
using Ringfence.Memory;
using Ringfence.Processors;

namespace Ringfence.Machines;

/// <summary>
/// Bytes in memory, started in real mode at their first byte with all segment bases 0, the stack below 7C00h and interrupts off: as a boot
/// sector finds the machine. For tests and small systems of one's own.
/// </summary>
public sealed record RawBoot : BootSource
{
    /// <summary>Where a PC's firmware loads a boot sector.</summary>
    public const uint BootSectorAddress = 0x7c00;

    /// <summary>The bytes.</summary>
    public required ReadOnlyMemory<byte> Image { get; init; }

    /// <summary>Physical address of the first byte and of the first instruction, below 64 KiB.</summary>
    public uint Address { get; init; } = BootSectorAddress;

    /// <inheritdoc/>
    internal override unsafe void Load(Pc pc, bool isReset)
    {
        if (Address > 0xffff) throw new BootImageException($"the image starts at 0x{Address:x}, real mode reaches 0xffff");
        if (!pc.Memory.IsRam(Address, (ulong)Image.Length)) throw new BootImageException($"the image of {Image.Length} bytes does not fit into RAM at 0x{Address:x}");
        pc.Memory.Write(new GuestPhysical(Address), Image.Span);
        Processor processor = pc.Processors[0];
        VcpuState* s = processor.State;
        ref SegmentRegister cs = ref s->Segment(SegmentIndex.Cs);
        cs.Selector = 0;
        cs.Base = 0;
        cs.UpdateBounds();
        s->Gpr[4] = BootSectorAddress;
        s->Rip = Address;
        s->Cr0 = Cr0.Et;
        processor.RefreshMode();
        processor.Mmu.FlushCodeTlb();
    }
}
