namespace Ringfence.Firmware;

/// <summary>Everything a system may look for below 1 MiB: the ACPI tables and, behind them, those of the MP specification and SMBIOS.</summary>
internal static class FirmwareTables
{
    /// <summary>Writes the tables of a machine.</summary>
    /// <returns>Address of the RSDP.</returns>
    public static ulong Write(BootTarget target)
    {
        (ulong rsdp, ulong end) = AcpiTables.Write(
            target.Memory, LowMemory.Tables, LowMemory.TablesEnd, target.Processors.Count, target.SerialPorts);
        end = MpTables.Write(target.Memory, end, target.Processors.Count);
        SmbiosTables.Write(target.Memory, (end + 15) & ~15UL, LowMemory.TablesEnd, target.Processors.Count);
        return rsdp;
    }
}
