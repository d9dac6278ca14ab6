namespace Ringfence.Devices;

/// <summary>PCI bus 0: up to 32 devices of 8 functions. Functions that do not exist read as all ones. Used under the machine lock.</summary>
internal sealed class PciBus : IResettable
{
    private const int FunctionsOfADevice = 8;
    private const int Devices = 32;

    private readonly PciFunction?[] _functions = new PciFunction?[Devices * FunctionsOfADevice];

    /// <summary>The functions in the order of their numbers.</summary>
    public IEnumerable<PciFunction> Functions => _functions.OfType<PciFunction>();

    /// <summary>Puts a function on the bus.</summary>
    /// <exception cref="InvalidOperationException">Its place is taken.</exception>
    public void Add(int device, int function, PciFunction added)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)device, (uint)Devices);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)function, (uint)FunctionsOfADevice);
        ref PciFunction? place = ref _functions[(device * FunctionsOfADevice) + function];
        if (place is not null) throw new InvalidOperationException($"{added.StateName} overlaps {place.StateName} at {device:x2}.{function}.");
        place = added;
        added.DeviceNumber = device;
    }

    /// <summary>Reads configuration space. <paramref name="address"/> is that of CONFIG_ADDRESS, with the byte's offset in its low bits.</summary>
    public uint Read(uint address, int size) =>
        At(address) is { } function ? function.Read((int)address & 0xff, size) : uint.MaxValue >> (32 - (8 * size));

    /// <summary>Writes configuration space.</summary>
    public void Write(uint address, int size, uint value) => At(address)?.Write((int)address & 0xff, size, value);

    /// <inheritdoc/>
    public void Reset()
    {
        foreach (PciFunction function in Functions) function.Reset();
    }

    private PciFunction? At(uint address) => ((address >> 16) & 0xff) == 0 ? _functions[(address >> 8) & 0xff] : null;
}
