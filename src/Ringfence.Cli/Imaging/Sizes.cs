using System.Globalization;

namespace Ringfence.Cli.Imaging;

/// <summary>Sizes as people read them.</summary>
internal static class Sizes
{
    private static readonly string[] Units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    /// <summary>A size in the largest unit of which there is one, such as <c>1.5 GiB</c>.</summary>
    public static string Format(long bytes)
    {
        int unit = 0;
        double size = bytes;
        for (; size >= 1024 && unit < Units.Length - 1; unit++) size /= 1024;
        return string.Create(CultureInfo.InvariantCulture, $"{size:0.##} {Units[unit]}");
    }
}
