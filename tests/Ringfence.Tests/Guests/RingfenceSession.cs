using Ringfence.Firmware;
using Ringfence.Guests;
using Ringfence.Machines;

namespace Ringfence.Tests.Guests;

/// <summary>The built-in guest in a machine of ours.</summary>
internal sealed class RingfenceSession : GuestSession
{
    private RingfenceSession(MachineOptions options)
    {
        Machine = VirtualMachine.Create(options);
        Machine.Start();
    }

    public VirtualMachine Machine { get; }

    /// <summary>Boots the guest and waits for a text.</summary>
    public static async Task<RingfenceSession> StartAsync(string awaited, Func<MachineOptions, MachineOptions>? configure = null)
    {
        MachineOptions options = new()
        {
            MemoryBytes = 64 << 20,
            Engine = Engines.CurrentKind,
            Boot = new KernelBoot { Kernel = BootFile.FromBytes("built-in guest", BuiltInGuest.CreateImage()) },
        };
        RingfenceSession session = new(configure is null ? options : configure(options));
        await session.WaitForAsync(awaited);
        return session;
    }

    public override Task TypeAsync(string text)
    {
        Machine.Serial[0].Write(text);
        return Task.CompletedTask;
    }

    public override async Task<string> WaitForAsync(string text)
    {
        string output = await Machine.Serial[0].WaitForTextAsync(text.Replace("\n", "\r\n", StringComparison.Ordinal), Patience);
        return output.Replace("\r\n", "\n", StringComparison.Ordinal);
    }

    public override async Task<int> WaitForExitAsync() => (await Machine.WaitForExitAsync(Patience)).ExitCode;

    public override async ValueTask DisposeAsync() => await Machine.DisposeAsync();
}
