using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Ringfence.Cli.Commands;
using Ringfence.Machines;
using Ringfence.Remote;

namespace Ringfence.Cli.Running;

/// <summary>A machine's screen for VNC clients, from the option to the server.</summary>
internal static class VncDisplay
{
    // Without those that look alike.
    private const string PasswordCharacters = "abcdefghijkmnpqrstuvwxyz23456789";
    private const int PasswordLength = 8;

    /// <summary>Starts a server and says where it is.</summary>
    public static RfbServer Start(Screen screen, VncOptions options)
    {
        string? password = options.AllowsNoPassword ? null : options.PasswordFile is { } path ? ReadPassword(path) : RandomNumberGenerator.GetString(PasswordCharacters, PasswordLength);
        try
        {
            RfbServer server = new(screen, new RfbServerOptions { Address = options.Address, Port = options.Port, Password = password, AllowsNoPassword = options.AllowsNoPassword });
            server.Start();
            string secret = options.AllowsNoPassword ? ", no password" : options.PasswordFile is null ? $", password {password}" : "";
            Messages.Write($"ringfence: VNC at {server.EndPoint}{secret}");
            return server;
        }
        catch (ArgumentException)
        {
            throw new UserErrorException($"--vnc: the password in {options.PasswordFile} is not one of 1 to 8 characters");
        }
        catch (SocketException error)
        {
            throw new UserErrorException($"--vnc: port {options.Port} of {options.Address}: {error.Message}");
        }
    }

    private static string ReadPassword(string path)
    {
        try
        {
            using StreamReader file = new(path, Encoding.UTF8);
            return file.ReadLine() ?? "";
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"--vnc: {error.Message}");
        }
    }
}
