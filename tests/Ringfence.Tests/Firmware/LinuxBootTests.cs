using Ringfence.Firmware;
using Ringfence.Machines;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Firmware;

public sealed class LinuxBootTests
{
    private const string CommandLine = "console=ttyS0 earlyprintk=ttyS0 unlikely-word";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    [EngineTheory]
    [InlineData("vmlinuz-cloud-amd64", false, 2)]
    [InlineData("vmlinuz-cloud-amd64", true, 1)]
    [InlineData("vmlinuz-i386", false, 1)]
    public async Task A_kernel_finds_command_line_memory_map_and_tables_through_either_entry_and_again_after_a_reset(string kernel, bool use32BitEntry, int boots)
    {
        string? path = Guests.Find(kernel);
        Skip.If(path is null, $"{kernel} is not there; eng/fetch-guests.sh gets it");
        await using VirtualMachine machine = VirtualMachine.Create(new MachineOptions
        {
            MemoryBytes = 256UL << 20,
            Engine = Engines.CurrentKind,
            ProcessorCount = 2,
            Boot = new KernelBoot { Kernel = BootFile.FromPath(path), CommandLine = CommandLine, Use32BitEntry = use32BitEntry },
        });
        machine.Start();
        for (int boot = 0; boot < boots; boot++)
        {
            string log = await machine.Serial[0].WaitForTextAsync($"Kernel command line: {CommandLine}", Patience);
            log.ShouldContain("smpboot: Allowing 2 CPUs, 0 hotplug CPUs");
            log.ShouldContain("BIOS-e820: [mem 0x0000000000100000-0x000000000fffffff] usable");
            log.ShouldContain("ACPI: FACP");
            log.ShouldContain("ACPI: INT_SRC_OVR (bus 0 bus_irq 9 global_irq 9 high level)");
            log.ShouldNotContain("BIOS bug");
            log.ShouldNotContain("Incorrect checksum");
            if (boot + 1 < boots) machine.Reset();
        }
    }
}
