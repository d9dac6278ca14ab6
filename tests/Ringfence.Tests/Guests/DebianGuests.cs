using Ringfence.Firmware;
using Ringfence.Machines;

namespace Ringfence.Tests.Guests;

/// <summary>
/// The Debian kernels and root folders that <c>eng/fetch-guests.sh</c> fetches into <c>guests/</c>. A machine without them skips the
/// tests that need them, unless RINGFENCE_REQUIRE_GUESTS is set, as it is in CI.
/// </summary>
internal static class DebianGuests
{
    private static readonly bool IsRequired = Environment.GetEnvironmentVariable("RINGFENCE_REQUIRE_GUESTS") is { Length: > 0 };

    /// <summary>Path of a file or folder of <c>guests/</c>; skips the test if it is not there.</summary>
    public static string Require(string name)
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (!File.Exists(Path.Combine(folder.FullName, "Ringfence.slnx"))) continue;
            string path = Path.Combine(folder.FullName, "guests", name);
            if (Path.Exists(path)) return path;
        }

        string message = $"guests/{name} is missing; eng/fetch-guests.sh fetches it.";
        if (IsRequired) throw new FileNotFoundException(message);
        Skip.If(true, message);
        return "";
    }

    /// <summary>A machine with the current engine that boots a kernel with a root folder, its console on the first serial port.</summary>
    public static VirtualMachine Boot(string kernel, string root, int processors, string arguments = "") => VirtualMachine.Create(new MachineOptions
    {
        Name = kernel,
        MemoryBytes = 512UL << 20,
        Engine = Engines.CurrentKind,
        ProcessorCount = processors,
        Boot = new KernelBoot
        {
            Kernel = BootFile.FromPath(Require(kernel)),
            InitialRamDisks = [BootFile.FromFolder(Require(root))],
            CommandLine = $"console=ttyS0 {arguments}".Trim(),
        },
    });
}
