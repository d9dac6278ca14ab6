using Ringfence.Devices;
using Ringfence.Memory;

namespace Ringfence.Machines;

/// <summary>
/// Maps what PCI functions decode to where the guest has put it, and moves it when the guest does. Of two that decode the same address
/// the first stays; the other comes as soon as it is free. Under the machine lock.
/// </summary>
/// <param name="bus">The functions.</param>
/// <param name="ports">The I/O ports.</param>
/// <param name="memory">The physical memory.</param>
/// <param name="directMemoryChanged">Called when memory that processors access without asking has come or gone.</param>
internal sealed class PciAddressDecoder(PciBus bus, PortBus ports, PhysicalMemory memory, Action directMemoryChanged)
{
    private readonly Dictionary<(PciFunction Function, PciBar Bar), ulong> _mapped = [];

    /// <summary>Ranges that could not be mapped where the guest wanted them.</summary>
    public ulong ConflictCount { get; private set; }

    /// <summary>Begins to follow the functions that are on the bus now.</summary>
    public void Attach()
    {
        foreach (PciFunction function in bus.Functions)
        {
            if (function.Bars.Any(b => b.Target is not null)) function.DecodingChanged = Update;
        }
    }

    private void Update()
    {
        foreach (((PciFunction function, PciBar bar), ulong address) in _mapped.ToArray())
        {
            if (function.Decoded(bar) == address) continue;
            Unmap(bar, address);
            _mapped.Remove((function, bar));
        }

        foreach (PciFunction function in bus.Functions)
        {
            foreach (PciBar bar in function.Bars)
            {
                if (bar.Target is null || _mapped.ContainsKey((function, bar)) || function.Decoded(bar) is not { } address) continue;
                if (TryMap(function.StateName, bar, address)) _mapped.Add((function, bar), address);
                else ConflictCount++;
            }
        }
    }

    private bool TryMap(string name, PciBar bar, ulong address)
    {
        if (bar.Kind == PciBarKind.Io)
        {
            if (!ports.IsFree((ushort)address, (int)bar.Size)) return false;
            ports.Map(name, (ushort)address, (int)bar.Size, (IBusDevice)bar.Target!);
            return true;
        }

        if (address >> PhysicalMemory.AddressBits != 0 || !memory.IsFree(address, bar.Size)) return false;
        if (bar.Target is IBusDevice device)
        {
            memory.MapDevice(name, address, bar.Size, device);
            return true;
        }

        if (address + bar.Size > 1UL << 32 || (address & 0xfff) != 0) return false;
        memory.MapFrameBuffer(name, address, (FrameBufferMemory)bar.Target!);
        directMemoryChanged();
        return true;
    }

    private void Unmap(PciBar bar, ulong address)
    {
        if (bar.Kind == PciBarKind.Io)
        {
            ports.Unmap((ushort)address);
        }
        else if (bar.Target is IBusDevice)
        {
            memory.UnmapDevice(address);
        }
        else
        {
            memory.UnmapFrameBuffer(address);
            directMemoryChanged();
        }
    }
}
