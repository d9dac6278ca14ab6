using System.Globalization;
using System.Text.RegularExpressions;
using Ringfence.Guests;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Guests;

/// <summary>What the built-in guest must do, whoever runs it: each way to run it is a class derived from this one.</summary>
public abstract class BuiltInGuestTests
{
    /// <summary>Boots the guest and waits for its prompt; skips the test where this cannot be done.</summary>
    protected abstract Task<GuestSession> StartAsync();

    [EngineFact]
    public async Task Help_lists_the_commands()
    {
        await using GuestSession guest = await StartAsync();
        string help = await guest.RunAsync("help");
        foreach (string command in new[] { "primes N", "sleep S", "demo", "crash", "cpuid", "uptime", "poweroff" }) help.ShouldContain(command);
    }

    [EngineFact]
    public async Task Primes_counts_the_primes_below_a_number()
    {
        await using GuestSession guest = await StartAsync();
        foreach ((int limit, int count) in new[] { (2, 0), (3, 1), (100, 25), (10_000, 1229) })
            (await guest.RunAsync($"primes {limit}")).ShouldMatch($@"^{count} primes below {limit} in \d+\.\d{{3}} s\n$");
    }

    [EngineFact]
    public async Task Pi_is_computed_with_sse()
    {
        await using GuestSession guest = await StartAsync();
        (await guest.RunAsync("pi 10000")).ShouldStartWith("pi is about 3.141592654 in ");
    }

    [EngineFact]
    public async Task Sleep_takes_the_time_asked_for()
    {
        await using GuestSession guest = await StartAsync();
        Match match = Regex.Match(await guest.RunAsync("sleep 0.3"), @"^slept (\d+\.\d{3}) s\n$");
        match.Success.ShouldBeTrue();
        double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture).ShouldBeInRange(0.3, 5);
    }

    [EngineFact]
    public async Task The_timer_preempts_two_programs_that_never_yield_and_keeps_their_registers()
    {
        await using GuestSession guest = await StartAsync();
        string output = await guest.RunAsync("demo");
        // A program's last words can be preempted, too: the other one's letters then stand in the middle of them.
        string letters = output.Split("timer:\n")[1];
        letters.Count(c => c == 'A').ShouldBe(40 + 1, output);
        letters.Count(c => c == 'B').ShouldBe(40 + 1, output);
        Regex.Count(letters.Replace("\n", "", StringComparison.Ordinal), "AB|BA").ShouldBeGreaterThanOrEqualTo(3);
        string words = Regex.Replace(letters, "[AB\n]", "");
        words.Split("SSE and x87 registers kept").Length.ShouldBe(3, output);
        foreach (Match match in Regex.Matches(words, @"preempted (\d+) times"))
            int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture).ShouldBePositive();
    }

    /// <summary>Ways to crash, with the report and the exit code (128 + vector) that follow from the manual.</summary>
    protected virtual IEnumerable<(string Kind, string Report, int ExitCode)> Crashes =>
    [
        ("write", "#PF page fault, vector 14, error code 0x7\n  data access (write) at cr2 0xffffffff80600000: the page does not allow it", 142),
        ("read", "#PF page fault, vector 14, error code 0x5\n  data access at cr2 0xffffffff80600000", 142),
        ("null", "#PF page fault, vector 14, error code 0x4\n  data access at cr2 0x8: there is no page", 142),
        ("text", "#PF page fault, vector 14, error code 0x7\n  data access (write) at cr2 0x400000", 142),
        ("execute", "#PF page fault, vector 14, error code 0x15\n  instruction fetch at cr2 0x7fff", 142),
        ("divide", "#DE divide error, vector 0, error code 0x0", 128),
        ("opcode", "#UD invalid opcode, vector 6, error code 0x0", 134),
        ("privileged", "#GP general protection, vector 13, error code 0x0", 141),
        ("port", "#GP general protection, vector 13, error code 0x0", 141),
        ("canonical", "#GP general protection, vector 13, error code 0x0", 141),
        ("interrupt", "#GP general protection, vector 13, error code 0x402", 141),
        ("breakpoint", "#BP breakpoint, vector 3, error code 0x0", 131),
        ("step", "#DB debug exception, vector 1, error code 0x0", 129),
        ("x87", "#MF x87 floating-point error, vector 16, error code 0x0", 144),
    ];

    [EngineFact]
    public async Task A_program_that_faults_is_stopped_and_the_system_survives()
    {
        await using GuestSession guest = await StartAsync();
        string memory = await guest.RunAsync("mem");
        foreach ((string kind, string report, int exitCode) in Crashes)
        {
            string output = await guest.RunAsync($"crash {kind}");
            output.ShouldContain($"crash {kind} (task 2) was stopped: {report}");
            output.ShouldContain("\n  rip 0x");
            output.ShouldEndWith($"Exit code {exitCode}\n");
        }

        (await guest.RunAsync("mem")).ShouldBe(memory, "the ended programs' frames come back");
        (await guest.RunAsync("echo alive")).ShouldBe("alive\n");
    }

    [EngineFact]
    public async Task A_stack_overflow_in_the_kernel_ends_in_a_double_fault_report()
    {
        await using GuestSession guest = await StartAsync();
        await guest.TypeAsync("panic\r");
        string report = await guest.WaitForAsync("The system is halted.");
        report.ShouldContain("kernel panic: #DF double fault, vector 8, error code 0x0");
    }

    [EngineFact]
    public async Task Cpuid_names_vendor_signature_and_features()
    {
        await using GuestSession guest = await StartAsync();
        string output = await guest.RunAsync("cpuid");
        output.ShouldMatch(@"^vendor     \S+\n");
        output.ShouldMatch(@"\nsignature  family \d+, model \d+, stepping \d+\n");
        foreach (string feature in new[] { "apic", "pge", "fxsr", "sse2", "syscall", "nx", "lm" }) output.ShouldMatch($@"\nfeatures  .* {feature}( |\n)");
    }

    [EngineFact]
    public async Task Uptime_goes_on_and_counts_what_happened()
    {
        await using GuestSession guest = await StartAsync();
        string first = await guest.RunAsync("uptime");
        await guest.RunAsync("sleep 0.1");
        await guest.RunAsync("crash");
        string second = await guest.RunAsync("uptime");
        (Number(second, @"^up (\d+\.\d{3}) s") - Number(first, @"^up (\d+\.\d{3}) s")).ShouldBeInRange(0.1, 60);
        Number(second, @"timer interrupts +(\d+)").ShouldBeGreaterThan(Number(first, @"timer interrupts +(\d+)"));
        Number(second, @"system calls +(\d+)").ShouldBeGreaterThan(Number(first, @"system calls +(\d+)"));
        Number(second, @"faults of programs +(\d+)").ShouldBe(1);
    }

    [EngineFact]
    public async Task Control_c_ends_the_program_in_the_foreground()
    {
        await using GuestSession guest = await StartAsync();
        await guest.TypeAsync("spin\r");
        await guest.WaitForAsync("Ctrl-C\n");
        await guest.TypeAsync("\x03");
        (await guest.WaitForAsync(BuiltInGuest.Prompt)).ShouldBe("Exit code 130\n" + BuiltInGuest.Prompt);

        await guest.TypeAsync("sleep 1000\r");
        await guest.WaitForAsync("sleep 1000\n");
        await Task.Delay(TimeSpan.FromMilliseconds(300));
        await guest.TypeAsync("\x03");
        (await guest.WaitForAsync("\n" + BuiltInGuest.Prompt)).ShouldEndWith("Exit code 130\n" + BuiltInGuest.Prompt);
    }

    [EngineFact]
    public async Task Programs_run_in_the_background_until_killed()
    {
        await using GuestSession guest = await StartAsync();
        string before = await guest.RunAsync("mem");
        await guest.TypeAsync("spin &\r");
        await guest.WaitForAsync("Task 2 started\n");
        await guest.WaitForAsync(BuiltInGuest.Prompt);
        await guest.RunAsync("sleep 0.05");
        (await guest.RunAsync("tasks")).ShouldMatch(@"\n   1  ready .* shell\n   2  ready .* spin *\n$");
        await guest.RunAsync("kill 2");
        await guest.RunAsync("sleep 0.02");
        (await guest.RunAsync("tasks")).ShouldNotContain("spin");
        (await guest.RunAsync("mem")).ShouldBe(before);
        (await guest.RunAsync("kill 2")).ShouldBe("There is no such task to end.\n");
    }

    [EngineFact]
    public async Task More_tasks_than_there_is_room_for_are_refused()
    {
        await using GuestSession guest = await StartAsync();
        string before = await guest.RunAsync("mem");
        for (int i = 2; i < 16; i++)
        {
            await guest.TypeAsync("sleep 1000 &\r");
            await guest.WaitForAsync($"Task {i} started\n");
        }

        await guest.WaitForAsync(BuiltInGuest.Prompt);
        (await guest.RunAsync("sleep 1")).ShouldStartWith("The program cannot be started");
        for (int i = 2; i < 16; i++) await guest.RunAsync($"kill {i}");
        await guest.RunAsync("sleep 0.02");
        (await guest.RunAsync("mem")).ShouldBe(before);
    }

    [EngineFact]
    public async Task The_kernel_refuses_bad_pointers()
    {
        await using GuestSession guest = await StartAsync();
        (await guest.RunAsync("pointers")).ShouldBe("8 of 8 bad pointers refused\n");
    }

    [EngineFact]
    public async Task Lines_can_be_edited_and_end_with_cr_or_lf_or_both()
    {
        await using GuestSession guest = await StartAsync();
        await guest.TypeAsync("ecko\b\bho A\x7f" + "B\r");
        (await guest.WaitForAsync("\n" + BuiltInGuest.Prompt)).ShouldEndWith("\nB\n" + BuiltInGuest.Prompt);
        await guest.TypeAsync("rubbish\x15" + "echo \x1b[A\x1b[1~C\n");
        (await guest.WaitForAsync("\n" + BuiltInGuest.Prompt)).ShouldEndWith("\nC\n" + BuiltInGuest.Prompt);
        await guest.TypeAsync("echo D\r\necho E\r\n");
        string output = await guest.WaitForAsync("echo E\n");
        output.ShouldBe($"echo D\nD\n{BuiltInGuest.Prompt}echo E\n");
    }

    [EngineFact]
    public async Task An_unknown_command_is_named()
    {
        await using GuestSession guest = await StartAsync();
        (await guest.RunAsync("frobnicate 3")).ShouldStartWith("Unknown command: frobnicate 3\n");
        (await guest.RunAsync("primesx")).ShouldStartWith("Unknown command: primesx\n");
    }

    [EngineFact]
    public async Task Input_piped_in_faster_than_it_is_read_is_not_lost()
    {
        const int Lines = 500;
        await using GuestSession guest = await StartAsync();
        await guest.TypeAsync("sleep 0.2\r" + string.Concat(Enumerable.Range(0, Lines).Select(i => $"echo line-{i}-{new string('x', 20)}\n")));
        for (int i = 0; i < Lines; i++) await guest.WaitForAsync($"\nline-{i}-{new string('x', 20)}\n");
    }

    [EngineFact]
    public async Task The_guest_powers_off()
    {
        await using GuestSession guest = await StartAsync();
        await guest.TypeAsync("poweroff\r");
        (await guest.WaitForExitAsync()).ShouldBe(0);
    }

    [EngineFact]
    public async Task The_guest_leaves_through_the_debug_exit_port()
    {
        await using GuestSession guest = await StartAsync();
        await guest.TypeAsync("exit 21\r");
        (await guest.WaitForExitAsync()).ShouldBe((21 << 1) | 1);
    }

    private static double Number(string text, string pattern)
    {
        Match match = Regex.Match(text, pattern);
        match.Success.ShouldBeTrue($"{pattern} in {text}");
        return double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture);
    }
}
