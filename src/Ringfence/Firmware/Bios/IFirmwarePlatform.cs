namespace Ringfence.Firmware.Bios;

/// <summary>The machine as our firmware's services use it. Called under the machine lock.</summary>
internal interface IFirmwarePlatform
{
    /// <summary>Guest time in nanoseconds.</summary>
    long Now { get; }

    /// <summary>How often the first processor has accessed devices, at ports and in memory.</summary>
    long DeviceAccesses { get; }

    /// <summary>End of the RAM that begins at 0.</summary>
    ulong LowRamEnd { get; }

    /// <summary>End of the RAM that begins at 4 GiB; 4 GiB if there is none.</summary>
    ulong HighRamEnd { get; }

    /// <summary>Processors.</summary>
    int Processors { get; }

    /// <summary>Serial ports, from COM1 on.</summary>
    int SerialPorts { get; }

    /// <summary>What INT 15h function E820h reports.</summary>
    IReadOnlyList<E820Entry> MemoryMap { get; }

    /// <summary>The drives the firmware knows, in the order of their numbers.</summary>
    IReadOnlyList<FirmwareDrive> Drives { get; }

    /// <summary>Reads 1, 2 or 4 bytes of I/O ports.</summary>
    uint ReadPort(ushort port, int size);

    /// <summary>Writes 1, 2 or 4 bytes of I/O ports.</summary>
    void WritePort(ushort port, int size, uint value);

    /// <summary>Reads physical memory, devices' included.</summary>
    void ReadMemory(ulong address, Span<byte> data);

    /// <summary>Writes physical memory, devices' included.</summary>
    void WriteMemory(ulong address, ReadOnlySpan<byte> data);

    /// <summary>Gives PCI functions their addresses and puts the firmware with its tables into the shadow RAM below 1 MiB.</summary>
    void SetUp();

    /// <summary>Receives what the firmware and its callers print, if the machine's owner wants to see it.</summary>
    void WriteConsole(byte character);
}
