using System.Net.Sockets;
using Ringfence.Cli.Commands;
using Ringfence.Machines;
using Ringfence.Web;

namespace Ringfence.Cli.Running;

/// <summary>A machine's page, from the option to the server.</summary>
internal static class MachinePage
{
    /// <summary>Starts to serve it and says where it is.</summary>
    public static WebConsole Start(VirtualMachine machine, HttpOptions options)
    {
        if (!PageFiles.AreEmbedded) throw new UserErrorException($"--http: {PageFiles.Missing}");
        try
        {
            WebConsole page = WebConsole.StartAsync(machine, new WebConsoleOptions { Address = options.Address, Port = options.Port }).GetAwaiter().GetResult();
            Messages.Write($"ringfence: page at {page.Address}");
            return page;
        }
        catch (SocketException error)
        {
            throw new UserErrorException($"--http: port {options.Port} of {options.Address}: {error.Message}");
        }
    }
}
