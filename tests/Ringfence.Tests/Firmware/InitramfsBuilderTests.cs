using System.Globalization;
using System.IO.Compression;
using System.Runtime.Versioning;
using System.Text;
using Ringfence.Firmware;

namespace Ringfence.Tests.Firmware;

[SupportedOSPlatform("linux")]
public sealed class InitramfsBuilderTests : IDisposable
{
    private const UnixFileMode Executable = UnixFileMode.UserRead | UnixFileMode.UserExecute | UnixFileMode.UserWrite;

    private readonly string _folder = Directory.CreateTempSubdirectory("ringfence-").FullName;

    [Fact]
    public void Folders_files_links_and_modes_come_back()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "bin"));
        File.WriteAllText(Path.Combine(_folder, "init"), "#!/bin/sh\n");
        File.SetUnixFileMode(Path.Combine(_folder, "init"), Executable);
        File.WriteAllBytes(Path.Combine(_folder, "bin", "tool"), [1, 2, 3, 4, 5]);
        File.SetUnixFileMode(Path.Combine(_folder, "bin", "tool"), UnixFileMode.UserRead);
        File.CreateSymbolicLink(Path.Combine(_folder, "bin", "sh"), "tool");
        File.CreateSymbolicLink(Path.Combine(_folder, "dangling"), "/no/where");

        List<Entry> entries = Unpack(Build());
        entries.Select(e => e.Name).ShouldBe(["bin", "bin/sh", "bin/tool", "dangling", "init", "dev", "dev/console"]);
        entries[0].Mode.ShouldBe(0x4000U | (uint)File.GetUnixFileMode(Path.Combine(_folder, "bin")));
        entries[1].ShouldBe(new Entry("bin/sh", 0xa1ff, "tool", 0, 0));
        entries[2].ShouldBe(new Entry("bin/tool", 0x8100, "\u0001\u0002\u0003\u0004\u0005", 0, 0));
        entries[3].Contents.ShouldBe("/no/where");
        entries[4].ShouldBe(new Entry("init", 0x81c0, "#!/bin/sh\n", 0, 0));
        entries[6].ShouldBe(new Entry("dev/console", 0x2180, "", 5, 1));
    }

    [Fact]
    public void A_console_node_is_added_to_a_dev_folder_that_has_none()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "dev", "pts"));
        Unpack(Build()).Select(e => e.Name).ShouldBe(["dev", "dev/pts", "dev/console"]);
    }

    [Fact]
    public void The_same_folder_always_gives_the_same_bytes()
    {
        for (int i = 0; i < 20; i++) File.WriteAllText(Path.Combine(_folder, $"file{i * 7 % 20}"), new string('x', i * 1000));
        byte[] first = Build();
        foreach (string file in Directory.GetFiles(_folder)) File.SetLastWriteTimeUtc(file, DateTime.UnixEpoch.AddYears(10));
        Build().ShouldBe(first);
    }

    [Fact]
    public void Names_are_utf8_and_an_empty_folder_is_no_error()
    {
        Unpack(Build()).Select(e => e.Name).ShouldBe(["dev", "dev/console"]);
        File.WriteAllText(Path.Combine(_folder, "käse"), "x");
        Unpack(Build()).ShouldContain(e => e.Name == "käse" && e.Contents == "x");
    }

    [Fact]
    public void A_missing_folder_and_a_file_are_refused_by_name()
    {
        Should.Throw<BootImageException>(() => InitramfsBuilder.Build("/nonexistent/root", Stream.Null)).Message.ShouldBe("/nonexistent/root: no such folder");
        string file = Path.Combine(_folder, "f");
        File.WriteAllText(file, "");
        Should.Throw<BootImageException>(() => InitramfsBuilder.Build(file, Stream.Null)).Message.ShouldBe($"{file}: is a file, not a folder");
    }

    [Fact]
    public void A_packed_folder_is_loaded_as_an_initial_ram_disk()
    {
        File.WriteAllText(Path.Combine(_folder, "init"), "hello");
        using EmptyMachine machine = new();
        BootLoader.Load(machine.Target, new BootRequest
        {
            Kernel = BootFile.FromBytes("vmlinuz", SampleImages.Linux()),
            InitialRamDisks = [BootFile.FromFolder(_folder)],
        });
        byte[] disk = machine.Read(machine.Read32(LowMemory.ZeroPage + 0x218), (int)machine.Read32(LowMemory.ZeroPage + 0x21c));
        Unpack(disk).ShouldContain(e => e.Name == "init" && e.Contents == "hello");
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private byte[] Build()
    {
        using MemoryStream archive = new();
        InitramfsBuilder.Build(_folder, archive);
        return archive.ToArray();
    }

    // Reads the archive as the kernel does: headers on four-byte boundaries up to the trailer.
    private static List<Entry> Unpack(byte[] packed)
    {
        using MemoryStream unpacked = new();
        using (GZipStream gzip = new(new MemoryStream(packed), CompressionMode.Decompress)) gzip.CopyTo(unpacked);
        byte[] all = unpacked.ToArray();
        List<Entry> entries = [];
        HashSet<uint> inodes = [];
        for (int at = 0; ;)
        {
            (at & 3).ShouldBe(0);
            Encoding.ASCII.GetString(all, at, 6).ShouldBe("070701");
            int header = at;
            uint Field(int index) => uint.Parse(Encoding.ASCII.GetString(all, header + 6 + (8 * index), 8), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            int nameBytes = (int)Field(11);
            int length = (int)Field(6);
            all[at + 110 + nameBytes - 1].ShouldBe((byte)0);
            string name = Encoding.UTF8.GetString(all, at + 110, nameBytes - 1);
            int contents = (at + 110 + nameBytes + 3) & ~3;
            at = (contents + length + 3) & ~3;
            if (name == "TRAILER!!!")
            {
                at.ShouldBe(all.Length);
                return entries;
            }

            inodes.Add(Field(0)).ShouldBeTrue();
            (Field(2), Field(3), Field(5)).ShouldBe((0U, 0U, 0U));
            entries.Add(new Entry(name, Field(1), Encoding.UTF8.GetString(all, contents, length), Field(9), Field(10)));
        }
    }

    private sealed record Entry(string Name, uint Mode, string Contents, uint Major, uint Minor);
}
