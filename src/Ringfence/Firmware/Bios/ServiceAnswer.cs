namespace Ringfence.Firmware.Bios;

/// <summary>What a stub does when the service has answered.</summary>
internal enum ServiceAnswer : byte
{
    /// <summary>Restores the registers from the frame and returns to the caller.</summary>
    Done = 0,

    /// <summary>Halts until an interrupt, then asks again.</summary>
    Halt = 1,

    /// <summary>Lets interrupts in and asks again at once.</summary>
    Again = 2,
}

/// <summary>Services that are not interrupts: numbers beside the interrupts'.</summary>
internal static class FirmwareService
{
    /// <summary>Power-on.</summary>
    public const ushort PowerOn = 0x100;

    /// <summary>A byte from the keyboard is in AL. AL afterwards: 0, or the interrupt to raise.</summary>
    public const ushort KeyboardByte = 0x101;

    /// <summary>A byte from the mouse is in AL. AL afterwards: 1 if the mouse's handler is to be called.</summary>
    public const ushort MouseByte = 0x102;
}
