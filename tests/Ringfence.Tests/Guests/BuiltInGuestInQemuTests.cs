using Ringfence.Guests;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Guests;

/// <summary>The built-in guest in QEMU, where there is one: what the guest does right there it must do right everywhere.</summary>
[NoEngine]
public sealed class BuiltInGuestInQemuTests : BuiltInGuestTests
{
    /// <summary>QEMU 7.2 takes 16 instead of 8 times the vector for the error code (Intel SDM 3A 6.13 says 8).</summary>
    protected override IEnumerable<(string Kind, string Report, int ExitCode)> Crashes => base.Crashes.Where(crash => crash.Kind != "interrupt");

    protected override async Task<GuestSession> StartAsync() => await StartQemuAsync("-cpu", "max");

    [SkippableFact]
    public async Task The_guest_runs_on_a_processor_without_smep_and_smap()
    {
        await using GuestSession guest = await StartQemuAsync("-cpu", "qemu64,-smep,-smap");
        (await guest.RunAsync("cpuid")).ShouldNotContain("smap");
        (await guest.RunAsync("demo")).ShouldContain("registers kept");
    }

    [SkippableFact]
    public async Task The_guest_ignores_further_processors_and_runs_on_another_chipset()
    {
        await using GuestSession guest = await StartQemuAsync("-machine", "q35", "-smp", "4");
        (await guest.RunAsync("primes 100")).ShouldStartWith("25 primes");
        await guest.TypeAsync("reboot\r");
        (await guest.WaitForExitAsync()).ShouldBe(0);
    }

    [SkippableFact]
    public async Task An_idle_guest_costs_no_processor_time()
    {
        await using QemuSession guest = await StartQemuAsync();
        await guest.RunAsync("echo ready");
        await BusyHost.OnceOfAsync(5, async () =>
        {
            await Task.Delay(300);
            TimeSpan before = guest.ProcessorTime;
            await Task.Delay(1000);
            (guest.ProcessorTime - before).ShouldBeLessThan(TimeSpan.FromMilliseconds(200));
        });
    }

    [SkippableFact]
    public async Task A_processor_without_long_mode_is_refused_with_a_message()
    {
        Skip.If(QemuSession.Program is null, "qemu-system-x86_64 is not installed");
        await using QemuSession guest = await QemuSession.StartAsync("needs a 64-bit processor", "-cpu", "Nehalem,-lm");
    }

    private static async Task<QemuSession> StartQemuAsync(params string[] options)
    {
        Skip.If(QemuSession.Program is null, "qemu-system-x86_64 is not installed");
        return await QemuSession.StartAsync(BuiltInGuest.Prompt, options);
    }
}
