using System.Buffers.Binary;

namespace Ringfence.Firmware;

/// <summary>The way into every loader: finds out what an image is and loads it.</summary>
internal static class BootLoader
{
    private const long LargestKernel = 1L << 30;

    /// <summary>Loads what <paramref name="request"/> names and sets the bootstrap processor up to run it.</summary>
    /// <exception cref="BootImageException">An image is missing, malformed, or does not fit.</exception>
    public static void Load(BootTarget target, BootRequest request)
    {
        if (request.Firmware is { } firmware)
        {
            if (request.Kernel is { } unused) throw new BootImageException($"{unused.Name}: a kernel cannot be given together with firmware");
            FirmwareImage.Load(target, firmware);
            return;
        }

        BootFile kernel = request.Kernel ?? throw new BootImageException("neither a kernel nor firmware is given");
        byte[] image = kernel.ReadAll(LargestKernel, "a kernel");
        if (image.Length == 0) throw new BootImageException($"{kernel.Name}: the file is empty");
        if (LinuxImage.HasSignature(image)) LinuxLoader.Load(target, LinuxImage.Parse(kernel.Name, image), request);
        else if (MultibootImage.FindHeader(image) >= 0) MultibootLoader.Load(target, MultibootImage.Parse(kernel.Name, image), request);
        else throw new BootImageException($"{kernel.Name}: {WhyNot(image)}");
    }

    private static string WhyNot(ReadOnlySpan<byte> image)
    {
        if (image.Length >= 4 && BinaryPrimitives.ReadUInt32LittleEndian(image) == ElfImage.Magic)
            return "is an ELF file without a Multiboot 1 header in its first 8 KiB (of a Linux kernel, give the bzImage)";
        if (image.Length < LinuxImage.SmallestImage) return $"is neither a Linux bzImage nor a Multiboot 1 image (only {ByteSize.Format((ulong)image.Length)} long)";
        if (image[0] == 0x1f && image[1] == 0x8b) return "is gzip data, neither a Linux bzImage nor a Multiboot 1 image";
        return "is neither a Linux bzImage nor a Multiboot 1 image";
    }
}
