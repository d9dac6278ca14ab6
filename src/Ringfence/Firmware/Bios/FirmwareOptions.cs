using Ringfence.Machines;

namespace Ringfence.Firmware.Bios;

/// <summary>What the machine's owner chose for its firmware.</summary>
/// <param name="Order">Which kinds of drives a system is looked for on, in this order.</param>
/// <param name="MenuWait">How long a key is waited for that shows the boot menu.</param>
/// <param name="Console">What the text of the teletype function goes to beside the screen.</param>
internal sealed record FirmwareOptions(IReadOnlyList<BootDevice> Order, TimeSpan MenuWait, FirmwareConsole Console);
