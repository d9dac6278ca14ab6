using System.Buffers.Binary;

namespace Ringfence.Firmware;

/// <summary>An address inside the tables that depends on where they lie: until they are placed, an offset into <see cref="AcpiImage.Tables"/>.</summary>
/// <param name="InRsdp">It stands in the RSDP rather than in the tables.</param>
/// <param name="Offset">Where it stands.</param>
/// <param name="Size">4 or 8 bytes.</param>
internal readonly record struct AcpiPointer(bool InRsdp, int Offset, int Size);

/// <summary>A byte that makes the sum of a range zero.</summary>
/// <param name="InRsdp">The range is in the RSDP rather than in the tables.</param>
/// <param name="Offset">Where the byte stands.</param>
/// <param name="Start">First byte of the range.</param>
/// <param name="Length">Bytes of the range.</param>
internal readonly record struct AcpiChecksum(bool InRsdp, int Offset, int Start, int Length);

/// <summary>ACPI tables before they have addresses: our own loaders place them, or firmware does.</summary>
internal sealed class AcpiImage
{
    /// <summary>The tables need addresses that are multiples of this, for the FACS.</summary>
    public const int Alignment = 64;

    /// <summary>The root system description pointer.</summary>
    public required byte[] Rsdp { get; init; }

    /// <summary>All tables, one behind the other.</summary>
    public required byte[] Tables { get; init; }

    /// <summary>The pointers to relocate.</summary>
    public required IReadOnlyList<AcpiPointer> Pointers { get; init; }

    /// <summary>The checksums to make right afterwards, in this order.</summary>
    public required IReadOnlyList<AcpiChecksum> Checksums { get; init; }

    /// <summary>Gives the tables their address.</summary>
    public void Place(ulong tables)
    {
        foreach (AcpiPointer pointer in Pointers)
        {
            Span<byte> at = (pointer.InRsdp ? Rsdp : Tables).AsSpan(pointer.Offset);
            if (pointer.Size == 4) BinaryPrimitives.WriteUInt32LittleEndian(at, BinaryPrimitives.ReadUInt32LittleEndian(at) + (uint)tables);
            else BinaryPrimitives.WriteUInt64LittleEndian(at, BinaryPrimitives.ReadUInt64LittleEndian(at) + tables);
        }

        foreach (AcpiChecksum checksum in Checksums)
        {
            byte[] bytes = checksum.InRsdp ? Rsdp : Tables;
            bytes[checksum.Offset] = 0;
            bytes[checksum.Offset] = AcpiTables.Checksum(bytes.AsSpan(checksum.Start, checksum.Length));
        }
    }
}
