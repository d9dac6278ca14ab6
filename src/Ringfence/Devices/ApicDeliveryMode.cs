namespace Ringfence.Devices;

/// <summary>Delivery modes of interrupt messages and local vector table entries (Intel SDM 3A 10.5.1, 10.6.1).</summary>
internal enum ApicDeliveryMode : byte
{
    /// <summary>The vector, to all destinations.</summary>
    Fixed = 0,

    /// <summary>The vector, to the destination that runs at the lowest priority.</summary>
    LowestPriority = 1,

    /// <summary>System management interrupt.</summary>
    Smi = 2,

    /// <summary>Reserved.</summary>
    Reserved = 3,

    /// <summary>Non-maskable interrupt.</summary>
    Nmi = 4,

    /// <summary>INIT.</summary>
    Init = 5,

    /// <summary>Start-up.</summary>
    StartUp = 6,

    /// <summary>The vector comes from an 8259.</summary>
    ExtInt = 7,
}
