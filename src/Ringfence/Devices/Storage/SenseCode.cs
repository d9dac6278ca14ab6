namespace Ringfence.Devices.Storage;

/// <summary>Why a packet command failed: sense key, additional sense code and its qualifier (SCSI Primary Commands 3, 4.5; MMC-5, annex F).</summary>
/// <param name="Key">Sense key.</param>
/// <param name="Code">Additional sense code.</param>
/// <param name="Qualifier">Its qualifier.</param>
internal readonly record struct SenseCode(byte Key, byte Code, byte Qualifier)
{
    /// <summary>Nothing to report.</summary>
    public static readonly SenseCode None = new(0, 0, 0);

    /// <summary>MEDIUM NOT PRESENT - TRAY CLOSED.</summary>
    public static readonly SenseCode NoMedium = new(2, 0x3a, 0x01);

    /// <summary>MEDIUM NOT PRESENT - TRAY OPEN.</summary>
    public static readonly SenseCode TrayOpen = new(2, 0x3a, 0x02);

    /// <summary>UNRECOVERED READ ERROR.</summary>
    public static readonly SenseCode ReadError = new(3, 0x11, 0x00);

    /// <summary>INVALID COMMAND OPERATION CODE.</summary>
    public static readonly SenseCode InvalidCommand = new(5, 0x20, 0x00);

    /// <summary>LOGICAL BLOCK ADDRESS OUT OF RANGE.</summary>
    public static readonly SenseCode OutOfRange = new(5, 0x21, 0x00);

    /// <summary>INVALID FIELD IN CDB.</summary>
    public static readonly SenseCode InvalidField = new(5, 0x24, 0x00);

    /// <summary>SAVING PARAMETERS NOT SUPPORTED.</summary>
    public static readonly SenseCode NothingSaved = new(5, 0x39, 0x00);

    /// <summary>MEDIUM REMOVAL PREVENTED.</summary>
    public static readonly SenseCode RemovalPrevented = new(5, 0x53, 0x02);

    /// <summary>NOT READY TO READY CHANGE, MEDIUM MAY HAVE CHANGED.</summary>
    public static readonly SenseCode MediumChanged = new(6, 0x28, 0x00);

    /// <summary>POWER ON, RESET, OR BUS DEVICE RESET OCCURRED.</summary>
    public static readonly SenseCode PowerOn = new(6, 0x29, 0x00);

    /// <summary>WRITE PROTECTED.</summary>
    public static readonly SenseCode WriteProtected = new(7, 0x27, 0x00);
}
