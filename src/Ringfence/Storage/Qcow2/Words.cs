using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Ringfence.Storage.Qcow2;

/// <summary>Tables of 64-bit words as a file has them, the most significant byte first.</summary>
internal static class Words
{
    /// <summary>Reads words; behind the end of the file there are zeros.</summary>
    public static ulong[] Read(ImageFile file, long offset, int count)
    {
        ulong[] words = new ulong[count];
        file.ReadPadded(offset, MemoryMarshal.AsBytes(words.AsSpan()));
        if (BitConverter.IsLittleEndian) BinaryPrimitives.ReverseEndianness(words, words);
        return words;
    }

    /// <summary>Writes words.</summary>
    public static void Write(ImageFile file, long offset, ReadOnlySpan<ulong> words)
    {
        ulong[] swapped = words.ToArray();
        if (BitConverter.IsLittleEndian) BinaryPrimitives.ReverseEndianness(swapped, swapped);
        file.Write(offset, MemoryMarshal.AsBytes(swapped.AsSpan()));
    }
}
