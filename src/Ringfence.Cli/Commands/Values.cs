using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Ringfence.Machines;
using Ringfence.Storage;
using Ringfence.Virtualizability;

namespace Ringfence.Cli.Commands;

/// <summary>The values of options as text, and what they mean.</summary>
internal static class Values
{
    private static readonly (string Suffix, int Shift)[] Units =
    [
        ("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("KB", 10), ("MB", 20), ("GB", 30), ("TB", 40), ("K", 10), ("M", 20), ("G", 30), ("T", 40), ("B", 0),
    ];

    /// <summary>A memory size: bytes, or with a binary unit such as <c>512M</c> or <c>1GiB</c>.</summary>
    public static ulong MemorySize(string text)
    {
        if (!TrySize(text, out ulong bytes)) throw new UserErrorException($"--memory: '{text}' is not a memory size (such as 512M, 1G or a number of bytes)");
        if (bytes is < MachineOptions.MinMemoryBytes or > MachineOptions.MaxMemoryBytes)
            throw new UserErrorException($"--memory: '{text}' is out of range (1M to {MachineOptions.MaxMemoryBytes >> 30}G)");
        return (bytes & 0xfff) == 0 ? bytes : throw new UserErrorException($"--memory: '{text}' is not a multiple of 4 KiB");
    }

    /// <summary>An address of this host to listen at, by number or name; nothing: clients of this host only.</summary>
    public static IPAddress HostAddress(string option, string host)
    {
        if (host is "" or "localhost") return IPAddress.Loopback;
        if (IPAddress.TryParse(host.Trim('[', ']'), out IPAddress? address)) return address;
        try
        {
            return Dns.GetHostAddresses(host) is [var first, ..] ? first : throw new UserErrorException($"{option}: there is no host '{host}'");
        }
        catch (Exception error) when (error is SocketException or ArgumentException)
        {
            throw new UserErrorException($"{option}: there is no host '{host}'");
        }
    }

    /// <summary>The size of a trace: bytes, or with a binary unit.</summary>
    public static long TraceSize(string text)
    {
        const ulong Least = 64 << 10;
        const ulong Most = 1UL << 40;
        if (!TrySize(text, out ulong bytes)) throw new UserErrorException($"--trace-limit: '{text}' is not a size (such as 64M, 1G or a number of bytes)");
        return bytes is >= Least and <= Most ? (long)bytes : throw new UserErrorException($"--trace-limit: '{text}' is out of range (64K to 1024G)");
    }

    /// <summary>The size of a disk: bytes, or with a binary unit.</summary>
    public static long DiskSize(string option, string text)
    {
        if (!TrySize(text, out ulong bytes)) throw new UserErrorException($"{option}: '{text}' is not a size (such as 512M, 10G or a number of bytes)");
        return bytes is > 0 and <= 1UL << 60 ? (long)bytes : throw new UserErrorException($"{option}: '{text}' is out of range (1 to 1048576T)");
    }

    /// <summary>The size of a qcow2 image's clusters.</summary>
    public static int ClusterSize(string option, string text) =>
        TrySize(text, out ulong bytes) && bytes is >= 512 and <= 2 << 20 && ulong.IsPow2(bytes)
            ? (int)bytes
            : throw new UserErrorException($"{option}: '{text}' is not a power of two from 512 to 2M");

    /// <summary>The format of an image that is there: <c>auto</c>, <c>raw</c>, <c>qcow2</c> or <c>iso</c>.</summary>
    public static DiskImageFormat ImageFormat(string option, string text) => text switch
    {
        "auto" => DiskImageFormat.Auto,
        "raw" => DiskImageFormat.Raw,
        "qcow2" => DiskImageFormat.Qcow2,
        "iso" => DiskImageFormat.Iso,
        _ => throw new UserErrorException($"{option}: '{text}' is not auto, raw, qcow2 or iso"),
    };

    /// <summary>The format of an image that is made: <c>raw</c> or <c>qcow2</c>.</summary>
    public static DiskImageFormat CopyFormat(string option, string text) => text switch
    {
        "raw" => DiskImageFormat.Raw,
        "qcow2" => DiskImageFormat.Qcow2,
        _ => throw new UserErrorException($"{option}: '{text}' is not qcow2 or raw"),
    };

    private static bool TrySize(string text, out ulong bytes)
    {
        string number = text.Trim();
        int shift = 0;
        foreach ((string suffix, int suffixShift) in Units)
        {
            if (!number.EndsWith(suffix, StringComparison.OrdinalIgnoreCase)) continue;
            number = number[..^suffix.Length].TrimEnd();
            shift = suffixShift;
            break;
        }

        bool isNumber = ulong.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out ulong count) && count <= ulong.MaxValue >> shift;
        bytes = isNumber ? count << shift : 0;
        return isNumber;
    }

    /// <summary>A number of processors.</summary>
    public static int ProcessorCount(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int count) && count is >= 1 and <= MachineOptions.MaxProcessors
            ? count
            : throw new UserErrorException($"--cpus: '{text}' is not a number of processors (1 to {MachineOptions.MaxProcessors})");

    /// <summary>An engine.</summary>
    public static EngineKind Engine(string text) => EngineNames.Find(text)
        ?? throw new UserErrorException($"--engine: there is no engine '{text}' ({string.Join(", ", Enum.GetValues<EngineKind>().Where(k => k != EngineKind.Auto).Select(EngineNames.NameOf))} or auto)");

    /// <summary>Engines to compare: names with commas between them, each once.</summary>
    public static IReadOnlyList<EngineKind> Engines(string text)
    {
        List<EngineKind> engines = [];
        foreach (string name in text.Split(',', StringSplitOptions.TrimEntries))
        {
            if (EngineNames.Find(name) is not { } kind || kind == EngineKind.Auto)
            {
                string known = string.Join(", ", Enum.GetValues<EngineKind>().Where(k => k != EngineKind.Auto).Select(EngineNames.NameOf));
                throw new UserErrorException($"--engines: there is no engine '{name}' ({known})");
            }

            if (engines.Contains(kind)) throw new UserErrorException($"--engines: {name} is named twice");
            if (!EngineNames.IsSupported(kind)) throw new UserErrorException($"--engines: {name} needs x86-64 Linux; this host has {string.Join(", ", EngineNames.Techniques.Where(EngineNames.IsSupported).Select(EngineNames.NameOf))}");
            engines.Add(kind);
        }

        return engines;
    }

    /// <summary>Page and JSON must not be the same file.</summary>
    public static void CheckReports(string? html, string? json)
    {
        if (html is { Length: > 0 } && json is { Length: > 0 } && Path.GetFullPath(html) == Path.GetFullPath(json))
            throw new UserErrorException($"--html and --json: both name {html}");
    }

    /// <summary>How often something is done.</summary>
    public static int Repetitions(string text)
    {
        const int Most = 100;
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int count) && count is >= 1 and <= Most
            ? count
            : throw new UserErrorException($"--repeat: '{text}' is not a number of runs (1 to {Most})");
    }

    /// <summary>A format of what is printed: <c>text</c> or <c>json</c>.</summary>
    public static bool IsJson(string option, string text) => text switch
    {
        "json" => true,
        "text" => false,
        _ => throw new UserErrorException($"{option}: '{text}' is not text or json"),
    };

    /// <summary><c>on</c> or <c>off</c>.</summary>
    public static bool Switch(string option, string text) => text switch
    {
        "on" => true,
        "off" => false,
        _ => throw new UserErrorException($"{option}: '{text}' is not on or off"),
    };

    /// <summary>What an analysis experiments on.</summary>
    public static (bool Model, bool Host) AnalysisTarget(string text) => text switch
    {
        "model" => (true, false),
        "host" => (false, true),
        "both" => (true, true),
        _ => throw new UserErrorException($"--target: '{text}' is not model, host or both"),
    };

    /// <summary>The mode that an analysis is about.</summary>
    public static AnalysisMode AnalysisMode(string text) => text switch
    {
        "real" => Virtualizability.AnalysisMode.Real,
        "protected" => Virtualizability.AnalysisMode.Protected,
        "vm86" => Virtualizability.AnalysisMode.Virtual8086,
        "long" => Virtualizability.AnalysisMode.Long,
        _ => throw new UserErrorException($"--mode: '{text}' is not real, protected, vm86 or long"),
    };

    /// <summary>A disk: a path, then options behind commas.</summary>
    public static DriveOptions Disk(string text, bool snapshot)
    {
        string[] parts = text.Split(',');
        DiskImageOptions image = new() { Snapshot = snapshot };
        DriveOptions drive = new() { Path = parts[0] };
        if (parts[0].Length == 0) throw new UserErrorException($"--disk: '{text}' has no file name");
        foreach (string part in parts[1..])
        {
            switch (part)
            {
                case "if=virtio":
                    drive = drive with { Interface = DriveInterface.Virtio };
                    break;
                case "if=ide":
                    drive = drive with { Interface = DriveInterface.Ide };
                    break;
                case "if=ahci":
                    drive = drive with { Interface = DriveInterface.Ahci };
                    break;
                case "format=raw":
                    image = image with { Format = DiskImageFormat.Raw };
                    break;
                case "format=qcow2":
                    image = image with { Format = DiskImageFormat.Qcow2 };
                    break;
                case "readonly":
                    image = image with { ReadOnly = true };
                    break;
                default:
                    throw new UserErrorException($"--disk: '{part}' is not if=virtio, if=ide, if=ahci, format=raw, format=qcow2 or readonly");
            }
        }

        return drive with { Image = image };
    }

    /// <summary>A size of code.</summary>
    public static int CodeBits(string text) => text switch
    {
        "16" => 16,
        "32" => 32,
        "64" => 64,
        _ => throw new UserErrorException($"--bits: '{text}' is not 16, 32 or 64"),
    };

    /// <summary>An address: hexadecimal with <c>0x</c>, otherwise decimal.</summary>
    public static ulong Address(string option, string text)
    {
        bool isHex = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        return ulong.TryParse(isHex ? text.AsSpan(2) : text, isHex ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out ulong address)
            ? address
            : throw new UserErrorException($"{option}: '{text}' is not an address (such as 0x7c00)");
    }

    /// <summary>Bytes as pairs of hexadecimal digits; between bytes there may be white space and commas, before them <c>0x</c> or <c>\x</c>.</summary>
    public static byte[] HexBytes(string option, string text)
    {
        List<byte> bytes = [];
        foreach (string word in text.Replace("\\x", " ", StringComparison.OrdinalIgnoreCase).Split([' ', '\t', '\r', '\n', ','], StringSplitOptions.RemoveEmptyEntries))
        {
            string digits = word.StartsWith("0x", StringComparison.OrdinalIgnoreCase) ? word[2..] : word;
            string shown = word.Length <= 20 ? word : word[..20] + "...";
            if (digits.Length == 0 || !digits.All(char.IsAsciiHexDigit)) throw new UserErrorException($"{option}: '{shown}' is not hexadecimal");
            if (digits.Length % 2 != 0) throw new UserErrorException($"{option}: '{shown}' ends with half a byte");
            bytes.AddRange(Convert.FromHexString(digits));
        }

        return [.. bytes];
    }

    /// <summary>Seconds to run at most.</summary>
    public static TimeSpan Timeout(string text, string option = "--timeout")
    {
        const double MostSeconds = 1e9;
        return double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double seconds) && seconds is > 0 and <= MostSeconds
            ? TimeSpan.FromSeconds(seconds)
            : throw new UserErrorException($"{option}: '{text}' is not a number of seconds above 0");
    }

    /// <summary>Where output goes: <c>stdio</c>, <c>file:PATH</c> or <c>null</c>.</summary>
    public static Connection Connection(string option, string text) => text switch
    {
        "stdio" => new Connection(ConnectionKind.Stdio),
        "null" => new Connection(ConnectionKind.Null),
        _ when text.StartsWith("file:", StringComparison.Ordinal) && text.Length > 5 => new Connection(ConnectionKind.File, text[5..]),
        _ => throw new UserErrorException($"{option}: '{text}' is not stdio, file:PATH or null"),
    };

    /// <summary>Which counters: <c>text</c>, <c>json</c>, each with <c>:PATH</c>.</summary>
    public static StatisticsRequest Statistics(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        string name = colon < 0 ? text : text[..colon];
        string path = colon < 0 ? "" : text[(colon + 1)..];
        StatisticsFormat? format = name switch
        {
            "text" => StatisticsFormat.Text,
            "json" => StatisticsFormat.Json,
            _ => null,
        };
        return format is { } known && (colon < 0 || path.Length > 0)
            ? new StatisticsRequest(known, path)
            : throw new UserErrorException($"--stats: '{text}' is not text, text:PATH, json or json:PATH");
    }
}
