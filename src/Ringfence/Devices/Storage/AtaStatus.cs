namespace Ringfence.Devices.Storage;

/// <summary>Bits of an ATA device's status register (ATA/ATAPI-6, 7.15).</summary>
internal static class AtaStatus
{
    /// <summary>ERR; of packet commands CHK.</summary>
    public const byte Error = 0x01;

    /// <summary>DRQ: the host is to move data.</summary>
    public const byte DataRequest = 0x08;

    /// <summary>DSC: a seek has ended.</summary>
    public const byte SeekComplete = 0x10;

    /// <summary>DF.</summary>
    public const byte DeviceFault = 0x20;

    /// <summary>DRDY.</summary>
    public const byte Ready = 0x40;

    /// <summary>BSY: the other bits say nothing.</summary>
    public const byte Busy = 0x80;

    /// <summary>Nothing under way, nothing wrong.</summary>
    public const byte Idle = Ready | SeekComplete;
}
