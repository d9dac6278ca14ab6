using System.Diagnostics;
using System.Globalization;
using System.Runtime.Versioning;
using Ringfence.Firmware;
using Ringfence.Tests.CommandLine;
using Ringfence.Tests.Storage;
using Ringfence.Tests.Support;
using Xunit.Abstractions;

namespace Ringfence.Tests.Guests;

/// <summary>
/// The monitor is killed (SIGKILL) at random moments while its guest writes records and flushes them: each time the images are sound, and every record that the
/// guest knew to be safe is there. RINGFENCE_KILLS asks for another number of kills. Half of the images lie in memory, so that kills meet the writing of
/// tables, half on a disk, where they meet the waiting for it.
/// </summary>
[Collection(nameof(DebianTests))]
[SupportedOSPlatform("linux")]
public sealed class MonitorCrashTests(ITestOutputHelper output) : IDisposable
{
    private const int Lanes = 2;
    private const int KillsOfAnImage = 8;
    private static readonly TimeSpan BootTime = TimeSpan.FromMinutes(6);
    private static readonly int[] ClusterSizes = [64 << 10, 512, 4 << 10, 2 << 20];

    private readonly ImageFolder _disk = new(inMemory: false), _memory = new();

    public void Dispose()
    {
        _disk.Dispose();
        _memory.Dispose();
    }

    [EngineFact]
    public async Task What_Linux_flushed_survives_100_kills_of_the_monitor_and_2_of_the_interpreter()
    {
        string kernel = DebianGuests.Require("vmlinuz-cloud-amd64"), root = _memory["root.cpio"];
        using (FileStream packed = File.Create(root))
        {
            InitramfsBuilder.Build(DebianGuests.Require("rootfs-amd64"), packed);
            InitramfsBuilder.Build(DebianGuests.Require("modules-cloud-amd64"), packed);
        }

        await Kill(Kills(Engines.Current == "interpreter" ? 2 : 100), "ab", (folder, disks, first, seed) =>
        {
            string files = folder["files"];
            Directory.CreateDirectory(files);
            File.WriteAllBytes(Path.Combine(files, "a"), new LinuxRecordProgram('a', "/dev/vda", first, seed).Assemble());
            File.WriteAllBytes(Path.Combine(files, "b"), new LinuxRecordProgram('b', "/dev/vdb", first, seed + 1).Assemble());
            File.WriteAllText(Path.Combine(files, "autorun"), "#!/bin/sh\nsh /modules/load\n/a & /b\n");
            foreach (string file in Directory.EnumerateFiles(files)) File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserExecute);
            using (FileStream packed = File.Create(folder["files.cpio"])) InitramfsBuilder.Build(files, packed);
            Directory.Delete(files, recursive: true);
            return
            [
                "--kernel", kernel, "--initrd", root, "--initrd", folder["files.cpio"], "--append", "console=ttyS0 quiet loglevel=0", "--memory", "128M",
                "--disk", disks[0].Argument("virtio"), "--disk", disks[1].Argument("virtio"),
            ];
        });
    }

    [EngineFact]
    public Task What_a_bare_program_flushed_by_IDE_survives_24_kills_of_the_monitor() => Kill(Kills(24), "a", (folder, disks, first, seed) =>
    {
        File.WriteAllBytes(folder["program"], new BareRecordProgram('a', first, seed).Assemble());
        return ["--kernel", folder["program"], "--memory", "2M", "--disk", disks[0].Argument("ide")];
    });

    private static int Kills(int usual) => int.TryParse(Environment.GetEnvironmentVariable("RINGFENCE_KILLS"), NumberStyles.None, null, out int kills) ? kills : usual;

    /// <summary>Kills machines, two at a time.</summary>
    /// <param name="kills">How many.</param>
    /// <param name="names">Names of the disks: the first is qcow2, another one raw.</param>
    /// <param name="prepare">Gives the arguments of a machine whose programs begin with a version and a seed.</param>
    private async Task Kill(int kills, string names, Func<ImageFolder, RecordDisk[], uint, uint, string[]> prepare)
    {
        int left = kills;
        long leaks = 0, records = 0;
        await Task.WhenAll(Enumerable.Range(0, Lanes).Select(lane => Task.Run(async () =>
        {
            int seed = ImageFolder.SeedOf(lane);
            Random random = new(seed);
            using ImageFolder folder = new(inMemory: lane == 0);
            RecordDisk[] disks = [];
            for (int i = 0; Interlocked.Decrement(ref left) >= 0; i++)
            {
                int image = i / KillsOfAnImage;
                if (i % KillsOfAnImage == 0)
                    disks = [.. names.Select((name, n) => new RecordDisk(folder, name, n == 0 ? ClusterSizes[(image + lane) % ClusterSizes.Length] : 0, hasBacking: image % 2 == 1))];
                string when = string.Create(CultureInfo.InvariantCulture, $"seed {seed}, lane {lane}, kill {i}");
                string[] arguments = prepare(folder, disks, ((uint)i + 1) << 20, (uint)random.Next());
                try
                {
                    Interlocked.Add(ref records, await KillOne(arguments, disks, TimeSpan.FromMilliseconds(random.NextDouble() * 400), when));
                    foreach (RecordDisk disk in disks) Interlocked.Add(ref leaks, disk.Judge(when, repair: random.Next(2) == 0));
                }
                catch
                {
                    // The other lane need not go on.
                    Interlocked.Exchange(ref left, 0);
                    throw;
                }
            }
        })));
        output.WriteLine($"{kills} kills, {records} records, {leaks} clusters leaked until the image was opened again");
    }

    /// <summary>Starts a machine, and kills it some time after its first record.</summary>
    /// <returns>How many records it acknowledged.</returns>
    private static async Task<int> KillOne(string[] arguments, RecordDisk[] disks, TimeSpan after, string when)
    {
        const int Killed = 128 + 9;
        using Process process = RingfenceProcess.StartGuest(arguments);
        Task<string> errors = process.StandardError.ReadToEndAsync();
        TaskCompletionSource first = new(TaskCreationOptions.RunContinuationsAsynchronously);
        List<string> others = [];
        int records = 0;
        Task reading = Task.Run(() =>
        {
            while (process.StandardOutput.ReadLine() is { } line)
            {
                if (!disks.Any(d => d.Acknowledge(line)))
                {
                    others.Add(line);
                    continue;
                }

                records++;
                first.TrySetResult();
            }

            first.TrySetResult();
        });
        try
        {
            await first.Task.WaitAsync(BootTime);
            await Task.Delay(after);
        }
        finally
        {
            process.Kill();
        }

        await reading;
        await process.WaitForExitAsync();
        string said = $"{when}: {string.Join('\n', others.TakeLast(20))}{await errors}";
        process.ExitCode.ShouldBe(Killed, said);
        records.ShouldBeGreaterThan(0, said);
        said.ShouldNotContain("failed");
        return records;
    }
}
