using System.Security.Cryptography;
using Ringfence.Firmware;
using Ringfence.Machines;
using Ringfence.Storage;
using Ringfence.Tests.Storage;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Guests;

/// <summary>
/// An installed Debian (<c>eng/make-debian-image.sh</c>) from every kind of disk: firmware, GRUB, kernel, systemd, a login, files, power off. What is
/// on the image then is judged by others: e2fsck, qemu-img, and the guest's own checksums.
/// </summary>
[Collection(nameof(InstalledDebianTests))]
public sealed class InstalledDebianTests : IDisposable
{
    /// <summary>Where the image's one partition begins.</summary>
    private const int PartitionOffset = 1 << 20;

    private static readonly TimeSpan BootTime = TimeSpan.FromMinutes(15);
    private static readonly TimeSpan AnswerTime = TimeSpan.FromMinutes(5);

    private readonly ImageFolder _folder = new(inMemory: false);

    public void Dispose() => _folder.Dispose();

    [EngineTheory]
    [InlineData("raw", DriveInterface.Virtio, false)]
    [InlineData("raw", DriveInterface.Ahci, true)]
    [InlineData("qcow2", DriveInterface.Ide, false)]
    [InlineData("qcow2 with a backing file", DriveInterface.Virtio, false, 2, 1024)]
    public async Task Debian_boots_from_its_disk_to_a_login_and_leaves_it_clean(string kind, DriveInterface connection, bool seaBios, int processors = 1, int mebibytes = 512)
    {
        (string image, DiskImageFormat format) = MakeImage(kind);
        Dictionary<string, string> sums;
        await using (VirtualMachine machine = Start(image, format, connection, seaBios, processors, mebibytes))
        {
            SerialConsole console = machine.Serial[0];
            await LogIn(console);
            await machine.Screen!.WaitForTextAsync("debian login:", AnswerTime);

            (await Ask(console, "cat /proc/1/comm")).ShouldBe("systemd");
            (await Ask(console, "systemctl is-system-running --wait; systemctl --failed --no-legend")).ShouldBe("running");
            (await Ask(console, "grep -c ^processor /proc/cpuinfo")).ShouldBe($"{processors}");
            (await Ask(console, "findmnt -no SOURCE,FSTYPE /")).ShouldBe(connection == DriveInterface.Virtio ? "/dev/vda1 ext4" : "/dev/sda1 ext4");
            sums = await WriteFiles(console);
            (await Ask(console, "dmesg | grep -iE 'i/o error|lost interrupt|frozen|bug:|oops|ext4-fs error' | head -n 5")).ShouldBe("");

            console.WriteLine("poweroff");
            (await machine.WaitForExitAsync(BootTime)).Reason.ShouldBe(MachineExitReason.PowerOff);
            machine.Statistics.Unimplemented.ShouldBeEmpty();
        }

        ShouldHold(RawImage(image, format), sums);
        if (format != DiskImageFormat.Qcow2) return;
        DiskImage.Check(_folder[image]).ShouldNotBeNull().IsClean.ShouldBeTrue();
        ImageFolder.RequireQemu();
        _folder.ShouldBeClean(image);
    }

    /// <summary>The installed disk in a format, to be written to.</summary>
    private (string Image, DiskImageFormat Format) MakeImage(string kind)
    {
        string installed = DebianGuests.Require("debian/disk.img");
        DiskImageFormat format = kind == "raw" ? DiskImageFormat.Raw : DiskImageFormat.Qcow2;
        if (kind.EndsWith("backing file", StringComparison.Ordinal)) DiskImage.CreateQcow2(_folder["disk"], null, installed, DiskImageFormat.Raw);
        else DiskImageConversion.Convert(installed, _folder["disk"], format, new DiskImageConversionOptions { SourceFormat = DiskImageFormat.Raw });
        return ("disk", format);
    }

    private VirtualMachine Start(string image, DiskImageFormat format, DriveInterface connection, bool seaBios, int processors, int mebibytes)
    {
        VirtualMachine machine = VirtualMachine.Create(new MachineOptions
        {
            Name = $"Debian on {connection}",
            MemoryBytes = (ulong)mebibytes << 20,
            Engine = Engines.CurrentKind,
            ProcessorCount = processors,
            Boot = seaBios ? new FirmwareBoot(BootFile.FromPath(DebianGuests.Require("media/bios-256k.bin"))) : new BiosBoot(),
            Display = seaBios ? new DisplayOptions { Bios = BootFile.FromPath(DebianGuests.Require("media/vgabios-stdvga.bin")) } : new DisplayOptions(),
            Drives = [new DriveOptions { Path = _folder[image], Interface = connection, Image = new DiskImageOptions { Format = format } }],
        });
        machine.Start();
        return machine;
    }

    /// <summary>Through GRUB and systemd to the login prompt and in; leaves a shell without line editing.</summary>
    private static async Task LogIn(SerialConsole console)
    {
        await console.WaitForTextAsync("Booting `Debian GNU/Linux'", BootTime);
        await console.WaitForTextAsync("debian login: ", BootTime);
        console.WriteLine("root");
        await console.WaitForTextAsync("Password: ", AnswerTime);
        console.WriteLine("debian");
        await console.WaitForTextAsync("root@debian:~# ", AnswerTime);
        console.WriteLine("exec env PS1='/ # ' sh");
        await console.WaitForTextAsync("\r/ # ", AnswerTime);
    }

    /// <summary>Writes files of all sizes, some of them twice and some removed again.</summary>
    /// <returns>The guest's checksums by path.</returns>
    private static async Task<Dictionary<string, string>> WriteFiles(SerialConsole console)
    {
        await Ask(console, "mkdir -p /srv/d/e; cd /srv/d; for n in 1 511 4096 70000 3000000; do head -c $n /dev/urandom > f$n; done");
        await Ask(console, "cp f3000000 removed; sync; rm removed; dd if=f70000 of=f3000000 bs=1000 seek=1500 conv=notrunc 2>/dev/null; truncate -s 2500000 f3000000");
        await Ask(console, "head -c 5000 f70000 | dd of=hole bs=5000 seek=100 2>/dev/null; i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo $i > e/$i; done; sync");
        string answer = await Ask(console, "echo 3 > /proc/sys/vm/drop_caches; find /srv/d /etc -type f -size -4M | sort | xargs sha256sum > /srv/sums; sync; grep ' /srv/' /srv/sums");
        return answer.Split('\n').Select(line => line.Split("  ")).ToDictionary(parts => parts[1], parts => parts[0]);
    }

    /// <summary>The disk as a raw image.</summary>
    private string RawImage(string image, DiskImageFormat format)
    {
        if (format == DiskImageFormat.Raw) return _folder[image];
        DiskImageConversion.Convert(_folder[image], _folder["raw"], DiskImageFormat.Raw, new DiskImageConversionOptions { SourceFormat = format });
        return _folder["raw"];
    }

    private void ShouldHold(string raw, Dictionary<string, string> sums)
    {
        string fileSystem = $"{raw}?offset={PartitionOffset}";
        (int exitCode, string output) = _folder.Run(SystemTool("e2fsck"), "-f", "-n", fileSystem);
        exitCode.ShouldBe(0, output);

        sums.Count.ShouldBe(46);
        File.WriteAllLines(_folder["dump"], sums.Keys.Append("/srv/sums").Select(path => $"dump {path} {_folder[path.Replace('/', '_')]}"));
        (exitCode, output) = _folder.Run(SystemTool("debugfs"), "-f", _folder["dump"], fileSystem);
        exitCode.ShouldBe(0, output);
        foreach ((string path, string sum) in sums) Sha256(path).ShouldBe(sum, path);
        File.ReadAllLines(_folder["_srv_sums"]).ShouldContain(line => line.EndsWith("  /etc/passwd", StringComparison.Ordinal));
    }

    private string Sha256(string path) => Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(_folder[path.Replace('/', '_')])));

    private static string SystemTool(string name) => File.Exists("/usr/sbin/" + name) ? "/usr/sbin/" + name : name;

    private static Task<string> Ask(SerialConsole console, string command) => DebianTests.Ask(console, command, AnswerTime);
}
