using System.Globalization;

namespace Ringfence.Firmware;

/// <summary>Sizes as people write them.</summary>
internal static class ByteSize
{
    /// <summary>A size in the largest binary unit that leaves at least one, such as <c>512 MiB</c> or <c>1.5 GiB</c>.</summary>
    public static string Format(ulong bytes)
    {
        (ulong unit, string name) = bytes switch
        {
            >= 1UL << 30 => (1UL << 30, "GiB"),
            >= 1UL << 20 => (1UL << 20, "MiB"),
            >= 1UL << 10 => (1UL << 10, "KiB"),
            1 => (1UL, "byte"),
            _ => (1UL, "bytes"),
        };
        string format = bytes % unit == 0 ? "0" : "0.0";
        return ((double)bytes / unit).ToString(format, CultureInfo.InvariantCulture) + " " + name;
    }
}
