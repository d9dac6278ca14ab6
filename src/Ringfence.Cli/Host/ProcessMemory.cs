using System.Globalization;

namespace Ringfence.Cli.Host;

/// <summary>What the host says this process holds.</summary>
internal static class ProcessMemory
{
    /// <summary>Resident bytes that are not shared memory; guest RAM is shared memory. 0 if the host does not say.</summary>
    public static long OwnBytes()
    {
        try
        {
            long kilobytes = 0;
            foreach (string line in File.ReadLines("/proc/self/status"))
            {
                if (!line.StartsWith("RssAnon:", StringComparison.Ordinal) && !line.StartsWith("RssFile:", StringComparison.Ordinal)) continue;
                string number = line[8..].Replace("kB", "", StringComparison.Ordinal).Trim();
                kilobytes += long.Parse(number, CultureInfo.InvariantCulture);
            }

            return kilobytes << 10;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or FormatException)
        {
            return 0;
        }
    }
}
