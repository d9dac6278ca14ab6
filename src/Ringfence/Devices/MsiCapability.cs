namespace Ringfence.Devices;

/// <summary>Message-signaled interrupts of a function (PCI Local Bus Specification 3.0, 6.8.1: MSI): one message to a 32-bit address.</summary>
internal sealed class MsiCapability
{
    private const byte CapabilityId = 0x05;
    private const uint EnableBit = 1;

    private readonly PciFunction _function;
    private readonly int _offset;
    private readonly Action<ulong, uint> _send;

    /// <summary>Makes the capability.</summary>
    /// <param name="function">The function.</param>
    /// <param name="offset">Where it stands in configuration space.</param>
    /// <param name="send">Sends a message: address, data.</param>
    public MsiCapability(PciFunction function, int offset, Action<ulong, uint> send)
    {
        (_function, _offset, _send) = (function, offset, send);
        function.DefineCapability(offset, CapabilityId);
        function.Define(offset + 2, 2, 0, EnableBit);
        function.Define(offset + 4, 4, 0, ~3u);
        function.Define(offset + 8, 2, 0, 0xffff);
    }

    /// <summary>The function interrupts by messages instead of its pin.</summary>
    public bool IsEnabled => (_function.Read(_offset + 2, 2) & EnableBit) != 0;

    /// <summary>Interrupts with the message, if the function may write to memory.</summary>
    public void Signal()
    {
        if (IsEnabled && _function.BusMasterEnabled) _send(_function.Read(_offset + 4, 4), _function.Read(_offset + 8, 2));
    }
}
