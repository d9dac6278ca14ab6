using System.Globalization;
using System.Net;

namespace Ringfence.Cli.Commands;

/// <summary>Where and for whom VNC clients are served.</summary>
/// <param name="Address">Address to listen at.</param>
/// <param name="Display">Number of the display.</param>
/// <param name="PasswordFile">File that has the password; null: one is made up.</param>
/// <param name="AllowsNoPassword">No password is asked for.</param>
internal sealed record VncOptions(IPAddress Address, int Display, string? PasswordFile, bool AllowsNoPassword)
{
    private const int FirstPort = 5900;
    private const string PasswordOption = "password=";

    /// <summary>TCP port of the display.</summary>
    public int Port => FirstPort + Display;

    /// <summary>Reads <c>[HOST]:DISPLAY[,password=FILE|none]</c>.</summary>
    public static VncOptions Parse(string text)
    {
        int comma = text.IndexOf(',');
        string place = comma < 0 ? text : text[..comma];
        string? password = comma < 0 ? null : text[(comma + 1)..];
        if (password is not null && (!password.StartsWith(PasswordOption, StringComparison.Ordinal) || password.Length == PasswordOption.Length))
            throw new UserErrorException($"--vnc: '{password}' is not password=FILE or password=none");
        password = password?[PasswordOption.Length..];
        int colon = place.LastIndexOf(':');
        if (colon < 0 || !int.TryParse(place.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int display) || display > IPEndPoint.MaxPort - FirstPort)
            throw new UserErrorException($"--vnc: '{place}' is not [HOST]:DISPLAY (such as :1, port 5901 of this host)");
        VncOptions options = new(Values.HostAddress("--vnc", place[..colon]), display, password is "none" ? null : password, password is "none");
        if (options.AllowsNoPassword && !IPAddress.IsLoopback(options.Address)) throw new UserErrorException("--vnc: password=none is for clients of this host only");
        return options;
    }
}
