using System.ComponentModel;
using Ringfence.Cli.Commands;
using Ringfence.Firmware;
using Ringfence.Machines;
using Ringfence.Storage;

namespace Ringfence.Cli.Running;

/// <summary>Makes machines from what the user asked for; what cannot be made is one line.</summary>
internal static class MachineFactory
{
    /// <summary>The part of a machine's options that says which guest runs in how large a machine. Files are read when the machine is made.</summary>
    /// <exception cref="UserErrorException">A file has no name.</exception>
    public static MachineOptions OptionsFor(GuestOptions guest)
    {
        try
        {
            return new MachineOptions
            {
                MemoryBytes = guest.MemoryBytes,
                ProcessorCount = guest.Processors,
                Boot = CreateBoot(guest),
                Drives = guest.Drives,
                Display = guest.UsesFirmware ? new DisplayOptions { Bios = FindVgaBios(guest) } : null,
                HasEntropySource = guest.Drives.Count > 0,
                Report = line => Messages.Write($"ringfence: {line}"),
            };
        }
        catch (ArgumentException error)
        {
            throw new UserErrorException(error.Message);
        }
    }

    /// <summary>Makes a machine.</summary>
    /// <exception cref="UserErrorException">It cannot be made on this host.</exception>
    /// <exception cref="BootImageException">What it should boot is missing, malformed or does not fit.</exception>
    public static VirtualMachine Create(MachineOptions options)
    {
        try
        {
            return VirtualMachine.Create(options);
        }
        catch (Exception error) when (error is ArgumentException or BlockImageException)
        {
            throw new UserErrorException(error.Message);
        }
        catch (Exception error) when (error is Win32Exception or OutOfMemoryException)
        {
            throw new UserErrorException($"the host refuses {options.MemoryBytes >> 20} MiB of memory for the guest: {error.Message}");
        }
    }

    private static BootFile? FindVgaBios(GuestOptions guest)
    {
        const string Usual = "vgabios-stdvga.bin";
        if (guest.VgaBios is { } named) return BootFile.FromPath(named);
        if (guest.Firmware is null) return null;
        string beside = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(guest.Firmware))!, Usual);
        return File.Exists(beside) ? BootFile.FromPath(beside) : null;
    }

    private static BootSource CreateBoot(GuestOptions guest)
    {
        if (guest.Firmware is { } firmware) return new FirmwareBoot(BootFile.FromPath(firmware));
        if (guest.UsesFirmware) return new BiosBoot();
        if (guest.Kernel is not { } kernel) return new BuiltInGuestBoot();
        List<BootFile> disks = [.. guest.InitialRamDisks.Select(ParseInitialRamDisk)];
        if (guest.RootFolder is { } root)
        {
            bool hasInit = File.Exists(Path.Combine(root, "init")) || new FileInfo(Path.Combine(root, "init")).LinkTarget is not null;
            if (Directory.Exists(root) && !hasInit && guest.CommandLine?.Contains("rdinit=", StringComparison.Ordinal) != true)
                Messages.Write($"ringfence: {root} has no /init; Linux starts it first unless --append says rdinit=PROGRAM");
            disks.Add(BootFile.FromFolder(root));
        }

        return new KernelBoot { Kernel = BootFile.FromPath(kernel), InitialRamDisks = disks, CommandLine = guest.CommandLine };
    }

    // FILE or "FILE ARGS": a file whose name contains the space comes first.
    private static BootFile ParseInitialRamDisk(string text)
    {
        int space = text.IndexOf(' ', StringComparison.Ordinal);
        return space < 0 || File.Exists(text) ? BootFile.FromPath(text) : BootFile.FromPath(text[..space], text[(space + 1)..].Trim());
    }
}
