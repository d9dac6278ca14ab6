using System.Security.Cryptography;
using Ringfence.Firmware;
using Ringfence.Machines;
using Ringfence.Storage;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Guests;

/// <summary>Debian's drivers on our disks: what the guest reads is what the host wrote, and the other way round.</summary>
[Collection(nameof(DebianTests))]
public sealed class DiskTests : IDisposable
{
    private const int MiB = 1 << 20;
    private const int ImageBytes = 24 * MiB;
    private static readonly TimeSpan BootTime = TimeSpan.FromMinutes(6);
    private static readonly TimeSpan AnswerTime = TimeSpan.FromMinutes(2);

    private readonly string _folder = Directory.CreateTempSubdirectory("ringfence-disk-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [EngineTheory]
    [InlineData(DriveInterface.Virtio, DiskImageFormat.Raw, 2)]
    [InlineData(DriveInterface.Virtio, DiskImageFormat.Qcow2, 1)]
    [InlineData(DriveInterface.Ide, DiskImageFormat.Qcow2, 1)]
    [InlineData(DriveInterface.Ahci, DiskImageFormat.Qcow2, 1)]
    [InlineData(DriveInterface.Ahci, DiskImageFormat.Raw, 2, false)]
    public async Task What_Linux_reads_and_writes_is_what_the_image_holds(DriveInterface connection, DiskImageFormat format, int processors, bool hasAcpi = true)
    {
        byte[] contents = new byte[ImageBytes];
        new Random(7).NextBytes(contents);
        string path = Path.Combine(_folder, "disk");
        if (format == DiskImageFormat.Raw) DiskImage.CreateRaw(path, ImageBytes);
        else DiskImage.CreateQcow2(path, ImageBytes);
        using (BlockStore store = DiskImage.Open(path, new DiskImageOptions { Format = format }))
        {
            store.Write(0, contents);
            store.Flush();
        }

        string sum;
        await using (VirtualMachine machine = Boot(connection, path, format, processors, hasAcpi ? "" : "acpi=off pci=nomsi"))
        {
            SerialConsole console = machine.Serial[0];
            await console.WaitForTextAsync("/ # ", BootTime);
            string device = connection == DriveInterface.Virtio ? "vda" : "sda";
            (await Ask(console, "sh /modules/load 2>/dev/null; usleep 500000; cat /sys/block/" + device + "/size")).ShouldBe($"{ImageBytes / 512}");
            (await Ask(console, $"dd if=/dev/{device} bs=1M count=8 2>/dev/null | md5sum | cut -c1-32")).ShouldBe(Md5(contents.AsSpan(0, 8 * MiB)));
            sum = await Ask(console, $"dd if=/dev/urandom of=/tmp/r bs=1M count=8 2>/dev/null; dd if=/tmp/r of=/dev/{device} bs=1M seek=8 conv=fsync 2>/dev/null; md5sum /tmp/r | cut -c1-32");
            (await Ask(console, $"echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/{device} bs=1M skip=8 count=8 2>/dev/null | md5sum | cut -c1-32")).ShouldBe(sum);
            (await Ask(console, "dmesg | grep -ciE 'i/o error|lost interrupt|frozen|bug:|oops'")).ShouldBe("0");
            (await Ask(console, "nproc")).ShouldBe($"{processors}");
            if (!hasAcpi)
            {
                // Processors and the interrupts of PCI come from the MP table then. Soft-off is ACPI's.
                (await Ask(console, "dmesg | grep -c 'MPTABLE: OEM ID: RINGFNCE'")).ShouldBe("1");
                (await Ask(console, "dmesg | grep -c 'buggy MP table'")).ShouldBe("0");
                (await Ask(console, "grep -c 'IO-APIC .*ahci' /proc/interrupts")).ShouldBe("1");
            }
            else if (connection != DriveInterface.Ide)
            {
                (await Ask(console, "grep -cE 'PCI-MSI .*(ahci|virtio0-req.0)' /proc/interrupts")).ShouldBe("1");
            }

            console.WriteLine(hasAcpi ? "poweroff -f" : "reboot -f");
            (await machine.WaitForExitAsync(AnswerTime)).Reason.ShouldBe(hasAcpi ? MachineExitReason.PowerOff : MachineExitReason.Reset);
        }

        using BlockStore after = DiskImage.Open(path, new DiskImageOptions { Format = format, ReadOnly = true });
        byte[] now = new byte[ImageBytes];
        after.Read(0, now);
        now.AsSpan(0, 8 * MiB).SequenceEqual(contents.AsSpan(0, 8 * MiB)).ShouldBeTrue();
        Md5(now.AsSpan(8 * MiB, 8 * MiB)).ShouldBe(sum);
        now.AsSpan(16 * MiB).SequenceEqual(contents.AsSpan(16 * MiB)).ShouldBeTrue();
    }

    private static VirtualMachine Boot(DriveInterface connection, string path, DiskImageFormat format, int processors, string arguments = "")
    {
        VirtualMachine machine = VirtualMachine.Create(new MachineOptions
        {
            MemoryBytes = 256UL << 20,
            Engine = Engines.CurrentKind,
            ProcessorCount = processors,
            ExitOnReset = true,
            Drives = [new DriveOptions { Path = path, Interface = connection, Image = new DiskImageOptions { Format = format } }],
            Boot = new KernelBoot
            {
                Kernel = BootFile.FromPath(DebianGuests.Require("vmlinuz-amd64")),
                InitialRamDisks = [BootFile.FromFolder(DebianGuests.Require("rootfs-amd64")), BootFile.FromFolder(DebianGuests.Require("modules-amd64"))],
                CommandLine = $"console=ttyS0 quiet {arguments}",
            },
        });
        machine.Start();
        return machine;
    }

    private static string Md5(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(MD5.HashData(bytes));

    private static Task<string> Ask(SerialConsole console, string command) => DebianTests.Ask(console, command);
}
