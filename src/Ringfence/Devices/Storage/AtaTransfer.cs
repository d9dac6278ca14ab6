namespace Ringfence.Devices.Storage;

/// <summary>Data that a device and its host exchange.</summary>
/// <param name="IsDma">By DMA; otherwise by PIO.</param>
/// <param name="ToHost">The device sends.</param>
/// <param name="Data">What is sent, or room for what is received.</param>
/// <param name="BlockBytes">Bytes of each DRQ block of PIO, the last perhaps shorter.</param>
/// <param name="IsFirst">The host expects the first DRQ block without an interrupt (ATA/ATAPI-6, 9.6: PIO data-out).</param>
/// <param name="Done">Called when all of it has been moved; the device is busy again.</param>
/// <param name="BlockBegins">Told the length of each DRQ block of PIO before the host sees it.</param>
internal sealed record AtaTransfer(
    bool IsDma, bool ToHost, Memory<byte> Data, int BlockBytes, bool IsFirst, Action Done, Action<int>? BlockBegins = null);
