using System.Globalization;
using System.Text;
using System.Text.Json;
using Ringfence.Storage;

namespace Ringfence.Cli.Imaging;

/// <summary>What an image says about itself, for people and for programs.</summary>
internal static class ImageText
{
    /// <summary>A few lines, each a name and a value.</summary>
    public static string Text(DiskImageInfo info)
    {
        StringBuilder text = new();
        void Line(string name, string value) => text.Append(CultureInfo.InvariantCulture, $"{name,-14}{value}\n");
        Line("image", info.Path);
        Line("format", info.Qcow2 is { } format ? $"qcow2, version {format.Version}" : Name(info.Format));
        Line("disk", $"{Sizes.Format(info.VirtualBytes)} ({info.VirtualBytes} bytes)");
        Line("on the host", Sizes.Format(info.AllocatedBytes));
        if (info.Qcow2 is not { } qcow2) return text.ToString();
        Line("clusters", $"{Sizes.Format(qcow2.ClusterBytes)}, reference counts of {qcow2.RefcountBits} bits");
        if (qcow2.BackingFile is not null) Line("backing file", $"{qcow2.BackingFile} ({qcow2.BackingFormat ?? "format not said"})");
        if (qcow2.IsDirty) Line("state", "was not closed, or is in use; opening it for writing sets it right");
        if (qcow2.IsCorrupt) Line("state", "marked as corrupt; can only be read");
        if (qcow2.Snapshots.Count == 0) return text.ToString();
        Line("snapshots", qcow2.Snapshots.Count.ToString(CultureInfo.InvariantCulture));
        foreach (Qcow2Snapshot snapshot in qcow2.Snapshots)
            Line($"  {snapshot.Id}", string.Create(CultureInfo.InvariantCulture, $"{snapshot.Name}, {snapshot.Taken:yyyy-MM-dd HH:mm:ss} UTC, {Sizes.Format(snapshot.VirtualBytes)}{(snapshot.StateBytes != 0 ? ", with a machine's state" : "")}"));
        return text.ToString();
    }

    /// <summary>One JSON object.</summary>
    public static string Json(DiskImageInfo info)
    {
        using MemoryStream bytes = new();
        using (Utf8JsonWriter json = new(bytes, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("image", info.Path);
            json.WriteString("format", Name(info.Format));
            json.WriteNumber("virtualBytes", info.VirtualBytes);
            json.WriteNumber("allocatedBytes", info.AllocatedBytes);
            if (info.Qcow2 is { } qcow2) Write(json, qcow2);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(bytes.ToArray()) + "\n";
    }

    /// <summary>A format's name, as options take it.</summary>
    public static string Name(DiskImageFormat format) => format switch
    {
        DiskImageFormat.Raw => "raw",
        DiskImageFormat.Iso => "iso",
        DiskImageFormat.Qcow2 => "qcow2",
        _ => "auto",
    };

    private static void Write(Utf8JsonWriter json, Qcow2Info qcow2)
    {
        json.WriteStartObject("qcow2");
        json.WriteNumber("version", qcow2.Version);
        json.WriteNumber("clusterBytes", qcow2.ClusterBytes);
        json.WriteNumber("refcountBits", qcow2.RefcountBits);
        json.WriteBoolean("dirty", qcow2.IsDirty);
        json.WriteBoolean("corrupt", qcow2.IsCorrupt);
        if (qcow2.BackingFile is not null)
        {
            json.WriteString("backingFile", qcow2.BackingFile);
            json.WriteString("backingPath", qcow2.BackingPath);
            json.WriteString("backingFormat", qcow2.BackingFormat);
        }

        json.WriteStartArray("snapshots");
        foreach (Qcow2Snapshot snapshot in qcow2.Snapshots)
        {
            json.WriteStartObject();
            json.WriteString("id", snapshot.Id);
            json.WriteString("name", snapshot.Name);
            json.WriteString("taken", snapshot.Taken);
            json.WriteNumber("virtualBytes", snapshot.VirtualBytes);
            json.WriteNumber("stateBytes", snapshot.StateBytes);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }
}
