namespace Ringfence.Devices;

/// <summary>An interrupt message between APICs.</summary>
/// <param name="Destination">APIC ID or logical destination; <see cref="Broadcast"/> for all. Senders with 8-bit destinations widen FFh to it.</param>
/// <param name="Logical">Is the destination logical?</param>
/// <param name="Mode">Delivery mode.</param>
/// <param name="Vector">Vector.</param>
/// <param name="Level">Is it level triggered?</param>
internal readonly record struct ApicMessage(uint Destination, bool Logical, ApicDeliveryMode Mode, byte Vector, bool Level)
{
    /// <summary>The destination that means all local APICs.</summary>
    public const uint Broadcast = uint.MaxValue;

    /// <summary>Widens the 8-bit destination of I/O APICs, messages in memory writes, and xAPIC mode.</summary>
    public static uint Widen(byte destination) => destination == 0xff ? Broadcast : destination;
}
