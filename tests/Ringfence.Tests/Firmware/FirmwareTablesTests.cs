using System.Diagnostics;
using System.Text;
using Ringfence.Devices;
using Ringfence.Firmware;

namespace Ringfence.Tests.Firmware;

public sealed class FirmwareTablesTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(8)]
    public void Every_table_is_reachable_from_the_rsdp_and_its_bytes_sum_to_zero(int processors)
    {
        using EmptyMachine machine = new(processors: processors, serialPorts: 4);
        ulong rsdp = FirmwareTables.Write(machine.Target);
        (rsdp & 15).ShouldBe(0UL);
        Sum(machine.Read(rsdp, 20)).ShouldBe((byte)0);
        Sum(machine.Read(rsdp, 36)).ShouldBe((byte)0);
        ulong rsdt = machine.Read32(rsdp + 16);
        ulong xsdt = machine.Read64(rsdp + 24);
        Tables(machine, rsdt, 4).ShouldBe(["FACP", "APIC"]);
        Tables(machine, xsdt, 8).ShouldBe(["FACP", "APIC"]);
        ulong fadt = machine.Read32(rsdt + 36);
        CheckTable(machine, machine.Read32(fadt + 40)).ShouldBe("DSDT");
        machine.Read64(fadt + 140).ShouldBe(machine.Read32(fadt + 40));
        ulong facs = machine.Read32(fadt + 36);
        (facs & 63).ShouldBe(0UL);
        Text(machine, facs).ShouldBe("FACS");
    }

    [Fact]
    public void The_fadt_names_the_ports_of_the_power_management_device_and_the_reset_register()
    {
        using EmptyMachine machine = new();
        ulong fadt = Find(machine, "FACP");
        machine.Read16(fadt + 46).ShouldBe((ushort)9);
        machine.Read32(fadt + 56).ShouldBe(AcpiPowerManagement.Pm1EventBlock);
        machine.Read32(fadt + 64).ShouldBe(AcpiPowerManagement.Pm1ControlBlock);
        machine.Read32(fadt + 76).ShouldBe(AcpiPowerManagement.PmTimerBlock);
        machine.Read64(fadt + 120).ShouldBe(0xcf9UL);
        machine.Read8(fadt + 128).ShouldBe((byte)6);
        uint flags = machine.Read32(fadt + 112);
        (flags & (1 << 10)).ShouldNotBe(0U);
        (flags & (1 << 20)).ShouldBe(0U);
    }

    [Fact]
    public void The_madt_lists_every_processor_the_io_apic_and_the_overrides()
    {
        using EmptyMachine machine = new(processors: 3);
        ulong madt = Find(machine, "APIC");
        machine.Read32(madt + 36).ShouldBe(0xfee0_0000U);
        List<byte[]> entries = [];
        for (ulong at = madt + 44, end = madt + machine.Read32(madt + 4); at < end; at += machine.Read8(at + 1))
            entries.Add(machine.Read(at, machine.Read8(at + 1)));
        entries.Where(e => e[0] == 0).Select(e => (e[2], e[3], e[4])).ShouldBe([(0, 0, 1), (1, 1, 1), (2, 2, 1)]);
        entries.Single(e => e[0] == 1)[4..8].ShouldBe([0, 0, 0xc0, 0xfe]);
        entries.Where(e => e[0] == 2).Select(e => (e[3], e[4], e[8])).ShouldBe([(0, 2, 0), (9, 9, 0xd), (10, 10, 0xd), (11, 11, 0xd)]);
        entries.Single(e => e[0] == 4).ShouldBe([4, 6, 0xff, 0, 0, 1]);
    }

    [Fact]
    public void The_mp_table_has_right_checksums_and_as_many_entries_as_it_says()
    {
        using EmptyMachine machine = new(processors: 2);
        List<byte[]> entries = MpEntries(machine);
        ulong pointer = MpPointer(machine);
        Sum(machine.Read(pointer, 16)).ShouldBe((byte)0);
        ulong table = machine.Read32(pointer + 4);
        Text(machine, table).ShouldBe("PCMP");
        int length = machine.Read16(table + 4);
        Sum(machine.Read(table, length)).ShouldBe((byte)0);
        entries.Sum(e => e.Length).ShouldBe(length - 44);
        machine.Read16(table + 34).ShouldBe((ushort)entries.Count);
        entries.Count(e => e[0] == 0).ShouldBe(2);
    }

    [Fact]
    public void The_mp_table_lists_processors_buses_the_io_apic_and_how_interrupts_reach_it()
    {
        using EmptyMachine machine = new(processors: 2);
        List<byte[]> entries = MpEntries(machine);
        entries.Select(e => (int)e[0]).ShouldBeInOrder();
        entries.Where(e => e[0] == 0).Select(e => (e[1], e[3])).ShouldBe([(0, 3), (1, 1)]);
        entries.Where(e => e[0] == 1).Select(e => (e[1], Encoding.ASCII.GetString(e, 2, 6))).ShouldBe([(0, "PCI   "), (1, "ISA   ")]);
        entries.Single(e => e[0] == 2).ShouldBe([2, 2, 0x20, 1, 0, 0, 0xc0, 0xfe]);
        byte[][] interrupts = [.. entries.Where(e => e[0] == 3)];
        interrupts.ShouldAllBe(e => e[1] == 0 && e[6] == 2 && e[7] < 24);

        // The timer is wired to input 2; interrupts that PCI drives are listed as PCI's alone.
        interrupts.Where(e => e[4] == 1).Select(e => (e[2], e[5], e[7])).ShouldBe(
            ((int[])[0, 1, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15]).Select(irq => ((byte)0, (byte)irq, irq == 0 ? (byte)2 : (byte)irq)));
        byte[][] pci = [.. interrupts.Where(e => e[4] == 0)];
        pci.Length.ShouldBe(31 * 4);
        pci.ShouldAllBe(e => e[2] == 0xd);
        pci.Single(e => e[5] == ((3 << 2) | 0))[7].ShouldBe(PciInterrupts.Of(3, 1));
        pci.Single(e => e[5] == ((3 << 2) | 3))[7].ShouldBe(PciInterrupts.Of(3, 4));
        entries.Where(e => e[0] == 4).ShouldBe([[4, 3, 0, 0, 1, 0, 0, 0], [4, 1, 0, 0, 1, 0, 0xff, 1]]);
    }

    [Fact]
    public void The_dsdt_begins_with_the_soft_off_package_and_names_the_devices()
    {
        using EmptyMachine machine = new(serialPorts: 1);
        ulong dsdt = machine.Read32(Find(machine, "FACP") + 40);
        byte[] aml = machine.Read(dsdt + 36, (int)machine.Read32(dsdt + 4) - 36);
        aml[..13].ShouldBe([0x08, (byte)'\\', (byte)'_', (byte)'S', (byte)'5', (byte)'_', 0x12, 8, 4, 0x0a, 5, 0x0a, 5]);
        string text = Encoding.Latin1.GetString(aml);
        foreach (string name in new[] { "_SB_", "PCI0", "_CRS", "KBD_", "RTC_", "COM1" }) text.ShouldContain(name);
        text.ShouldNotContain("COM2");
    }

    [SkippableFact]
    public void The_reference_disassembler_understands_the_dsdt()
    {
        string? iasl = Environment.GetEnvironmentVariable("PATH")!.Split(':').Select(p => Path.Combine(p, "iasl")).FirstOrDefault(File.Exists);
        Skip.If(iasl is null, "iasl (Debian package acpica-tools) is not installed");
        using EmptyMachine machine = new(processors: 2, serialPorts: 4);
        ulong dsdt = machine.Read32(Find(machine, "FACP") + 40);
        string folder = Directory.CreateTempSubdirectory("ringfence-").FullName;
        try
        {
            File.WriteAllBytes(Path.Combine(folder, "dsdt.aml"), machine.Read(dsdt, (int)machine.Read32(dsdt + 4)));
            Run(iasl!, folder, "-d", "dsdt.aml");
            string source = File.ReadAllText(Path.Combine(folder, "dsdt.dsl"));
            source.ShouldContain("Name (\\_S5, Package (0x04)");
            source.ShouldContain("Device (PCI0)");
            source.ShouldNotContain("Unknown");
            Run(iasl!, folder, "-tc", "-p", "again", "dsdt.dsl").ShouldContain("0 Errors, 0 Warnings");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string Run(string program, string folder, params string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd() + errors.Result;
        process.WaitForExit();
        process.ExitCode.ShouldBe(0, output);
        return output;
    }

    private static ulong MpPointer(EmptyMachine machine) =>
        Enumerable.Range(0, 4096).Select(i => LowMemory.Tables + (16 * (ulong)i)).First(at => Text(machine, at) == "_MP_");

    private static List<byte[]> MpEntries(EmptyMachine machine)
    {
        FirmwareTables.Write(machine.Target);
        ulong table = machine.Read32(MpPointer(machine) + 4);
        List<byte[]> entries = [];
        for (ulong at = table + 44, end = table + machine.Read16(table + 4); at < end; at += (ulong)entries[^1].Length)
            entries.Add(machine.Read(at, machine.Read8(at) == 0 ? 20 : 8));
        return entries;
    }

    private static ulong Find(EmptyMachine machine, string signature)
    {
        ulong rsdt = machine.Read32(FirmwareTables.Write(machine.Target) + 16);
        return Enumerable.Range(0, 2).Select(i => (ulong)machine.Read32(rsdt + 36 + (4 * (ulong)i))).Single(at => Text(machine, at) == signature);
    }

    private static IEnumerable<string> Tables(EmptyMachine machine, ulong root, ulong entryBytes)
    {
        CheckTable(machine, root);
        List<string> names = [];
        for (ulong at = root + 36; at < root + machine.Read32(root + 4); at += entryBytes)
            names.Add(CheckTable(machine, entryBytes == 4 ? machine.Read32(at) : machine.Read64(at)));
        return names;
    }

    private static string CheckTable(EmptyMachine machine, ulong table)
    {
        table.ShouldBeInRange(LowMemory.Tables, LowMemory.TablesEnd - 36);
        Sum(machine.Read(table, (int)machine.Read32(table + 4))).ShouldBe((byte)0);
        return Text(machine, table);
    }

    private static string Text(EmptyMachine machine, ulong at) => Encoding.ASCII.GetString(machine.Read(at, 4));

    private static byte Sum(byte[] bytes) => (byte)bytes.Sum(b => b);
}
