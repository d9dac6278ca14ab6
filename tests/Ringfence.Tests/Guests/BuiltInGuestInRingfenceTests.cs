using Ringfence.Firmware;
using Ringfence.Guests;
using Ringfence.Machines;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Guests;

/// <summary>The built-in guest in a machine of ours, where also those rules hold that QEMU's interpreter leaves out.</summary>
public sealed class BuiltInGuestInRingfenceTests : BuiltInGuestTests
{
    protected override IEnumerable<(string Kind, string Report, int ExitCode)> Crashes =>
    [
        .. base.Crashes,
        ("stack", "#SS stack-segment fault, vector 12, error code 0x0", 140),
        ("align", "#AC alignment check, vector 17, error code 0x0", 145),
        ("float", "#XM SIMD floating-point exception, vector 19, error code 0x0", 147),
    ];

    protected override async Task<GuestSession> StartAsync() => await RingfenceSession.StartAsync(BuiltInGuest.Prompt);

    [EngineFact]
    public async Task Power_off_ends_the_machine()
    {
        await using RingfenceSession guest = await RingfenceSession.StartAsync(BuiltInGuest.Prompt);
        await guest.TypeAsync("poweroff\r");
        (await guest.Machine.WaitForExitAsync(TimeSpan.FromSeconds(20))).Reason.ShouldBe(MachineExitReason.PowerOff);
    }

    [EngineFact]
    public async Task A_halted_kernel_ends_the_machine()
    {
        await using RingfenceSession guest = await RingfenceSession.StartAsync(BuiltInGuest.Prompt);
        await guest.TypeAsync("panic\r");
        (await guest.Machine.WaitForExitAsync(TimeSpan.FromSeconds(20))).Reason.ShouldBe(MachineExitReason.Halted);
    }

    [EngineFact]
    public async Task Reboot_starts_the_guest_again()
    {
        await using RingfenceSession guest = await RingfenceSession.StartAsync(BuiltInGuest.Prompt);
        await guest.TypeAsync("reboot\r");
        await guest.WaitForAsync("Type help");
        await guest.WaitForAsync(BuiltInGuest.Prompt);
        (await guest.RunAsync("echo again")).ShouldBe("again\n");
    }

    [EngineFact]
    public async Task An_idle_guest_executes_no_instructions()
    {
        await using RingfenceSession guest = await RingfenceSession.StartAsync(BuiltInGuest.Prompt);
        await guest.RunAsync("echo ready");
        await BusyHost.OnceOfAsync(10, async () =>
        {
            await Task.Delay(300);
            MachineStatistics before = guest.Machine.Statistics;
            await Task.Delay(500);
            guest.Machine.Statistics.Instructions.ShouldBe(before.Instructions);
            guest.Machine.Statistics.Exits.ShouldBe(before.Exits, "what does not count instructions leaves the engine to halt");
        });
    }

    [EngineFact]
    public async Task The_guest_needs_no_more_memory_than_it_says()
    {
        await using RingfenceSession guest = await RingfenceSession.StartAsync(
            BuiltInGuest.Prompt, options => options with { MemoryBytes = (ulong)BuiltInGuest.LeastMemory });
        (await guest.RunAsync("demo")).ShouldContain("registers kept");
    }

    [EngineFact]
    public async Task With_too_little_memory_the_guest_says_so()
    {
        await using RingfenceSession guest = await RingfenceSession.StartAsync(
            "needs 12 MiB of memory", options => options with { MemoryBytes = 10 << 20 });
        (await guest.WaitForExitAsync()).ShouldBe(3);
    }

    [EngineFact]
    public async Task Every_instruction_of_the_guest_is_implemented()
    {
        await using RingfenceSession guest = await RingfenceSession.StartAsync(BuiltInGuest.Prompt);
        foreach (string command in new[] { "demo", "pi 100", "primes 100", "cpuid", "tasks", "uptime", "mem", "calls 100" }) await guest.RunAsync(command);
        guest.Machine.Statistics.Unimplemented.ShouldBeEmpty();
    }

    [EngineFact]
    public async Task Two_deterministic_runs_execute_the_same_instructions()
    {
        var counts = new ulong[2];
        var outputs = new string[2];
        for (int i = 0; i < 2; i++)
        {
            using var machine = VirtualMachine.Create(new MachineOptions
            {
                MemoryBytes = 16 << 20,
                Engine = Engines.CurrentKind,
                Deterministic = true,
                Boot = new KernelBoot { Kernel = BootFile.FromBytes("built-in guest", BuiltInGuest.CreateImage()) },
            });
            machine.Serial[0].Write("spin &\rprimes 5000\rtasks\ruptime\rpoweroff\r");
            machine.Start();
            (await machine.WaitForExitAsync(TimeSpan.FromSeconds(60))).Reason.ShouldBe(MachineExitReason.PowerOff);
            counts[i] = machine.Statistics.Instructions;
            outputs[i] = machine.Serial[0].Output;
        }

        counts[0].ShouldBe(counts[1]);
        outputs[0].ShouldBe(outputs[1]);
        outputs[0].ShouldContain("669 primes below 5000");
    }
}
