namespace Ringfence.Devices.Storage;

/// <summary>
/// How a device's commands reach memory: the ports and the bus master of an IDE channel, or an AHCI port. A command is begun with
/// <see cref="AtaDevice.Execute"/>, transfers data any number of times, one after another, and ends with <see cref="Complete"/>.
/// </summary>
internal interface IAtaTransport
{
    /// <summary>Receives a command packet.</summary>
    void ReceivePacket(AtaDevice device, Memory<byte> packet, Action done);

    /// <summary>Moves data. May call <see cref="AtaTransfer.Done"/> before it returns.</summary>
    void Transfer(AtaDevice device, AtaTransfer transfer);

    /// <summary>The command has ended; the registers say how.</summary>
    /// <param name="device">The device.</param>
    /// <param name="interrupt">Tell the host: always but after the last block of PIO to the host.</param>
    void Complete(AtaDevice device, bool interrupt);
}
