using System.Runtime.InteropServices;
using Ringfence.Devices;

namespace Ringfence.Tests.Support;

/// <summary>Saves a part's state into memory, or restores it from there.</summary>
internal sealed class StateRecorder(Dictionary<string, byte[]> fields, bool restore) : IStateVisitor
{
    public static Dictionary<string, byte[]> Save(IStateful part)
    {
        Dictionary<string, byte[]> fields = [];
        part.DescribeState(new StateRecorder(fields, false));
        return fields;
    }

    public static void Restore(IStateful part, Dictionary<string, byte[]> fields) => part.DescribeState(new StateRecorder(fields, true));

    public void Field<T>(string name, ref T value)
        where T : unmanaged
    {
        if (restore) value = MemoryMarshal.Read<T>(fields[name]);
        else fields.Add(name, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)).ToArray());
    }

    public void Bytes(string name, Span<byte> value)
    {
        if (restore) fields[name].CopyTo(value);
        else fields.Add(name, value.ToArray());
    }
}
