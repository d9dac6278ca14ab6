using System.Diagnostics;
using System.Runtime.InteropServices;
using Iced.Intel;
using Ringfence.Host;
using Ringfence.Tests.Support;
using Ringfence.Virtualizability.HostProcessors;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Virtualizability;

/// <summary>The child process that executes instructions on the host's processor: it answers, and it may die.</summary>
public sealed partial class HostProcessorProbeTests
{
    private const int Rax = 0, Rsp = 4, Kill = 9, Stop = 19;
    private const string OtherHosts = "Instructions are executed natively on Linux x86-64 only.";

    [SkippableTheory]
    [InlineData(64)]
    [InlineData(32)]
    public void Registers_flags_data_and_stack_come_back_as_the_instruction_left_them(int bitness)
    {
        using HostProcessorProbe probe = Create();
        HostOutcome outcome = Execute(probe, bitness, a =>
        {
            a.add(eax, __dword_ptr[ebx]);
            a.mov(__[ebx + 4], eax);
            if (bitness == 64) a.push(rax);
            else a.push(eax);
        });
        outcome.Kind.ShouldBe(HostOutcomeKind.Completed);
        outcome.Registers[Rax].ShouldBe(0u);
        (outcome.Flags & 0x41).ShouldBe(0x41u);
        outcome.Data.Span[..8].ToArray().ShouldBe([1, 0, 0, 0, 0, 0, 0, 0]);
        outcome.Registers[Rsp].ShouldBe(probe.Layout.Stack + 0x800u - (bitness == 64 ? 8u : 4u));
        outcome.Cs.ShouldBe(bitness == 64 ? HostCase.LongCodeSelector : HostCase.CompatibilityCodeSelector);
        outcome.Ds.ShouldBe(HostCase.FlatDataSelector);
    }

    [SkippableTheory]
    [InlineData("F4", 13)]      // HLT
    [InlineData("0F0B", 6)]     // UD2
    [InlineData("CC", 3)]       // INT3
    [InlineData("F7F1", 0)]     // DIV ECX
    [InlineData("8B01", 14)]    // MOV EAX, [ECX]
    [InlineData("CD20", 13)]    // INT 20h
    [InlineData("0F20C0", 13)]  // MOV from CR0
    [InlineData("EE", 13)]      // OUT DX, AL
    public void An_exception_is_reported_with_its_vector_and_leaves_the_child_alive(string code, int vector)
    {
        using HostProcessorProbe probe = Create();
        foreach (int bitness in new[] { 64, 32 })
        {
            HostOutcome outcome = Execute(probe, bitness, Convert.FromHexString(code));
            outcome.Kind.ShouldBe(HostOutcomeKind.Trapped, outcome.Describe());
            outcome.Vector.ShouldBe(vector);
            (outcome.Rip - probe.Layout.Code).ShouldBe((ulong)(HostProbeLayout.AreaBytes / 2) + (vector == 3 ? 1u : 0u));
        }

        probe.Starts.ShouldBe(1);
    }

    [SkippableFact]
    public void A_stack_pointer_that_leads_nowhere_does_not_keep_the_exception_from_being_reported()
    {
        using HostProcessorProbe probe = Create();
        HostOutcome outcome = probe.Execute(new HostCase { Bitness = 64, Code = new byte[] { 0x50 }, Registers = [0, 0, 0, 0, 0x1234] });
        outcome.Kind.ShouldBe(HostOutcomeKind.Trapped);
        outcome.Vector.ShouldBe(14);
        outcome.FaultAddress.ShouldBe(0x122cu);
        probe.Starts.ShouldBe(1);
    }

    [SkippableFact]
    public void Flags_that_the_code_leaves_behind_do_not_disturb_the_child()
    {
        using HostProcessorProbe probe = Create();
        const ulong AlignmentCheckAndDirection = 0x40402;
        HostOutcome outcome = probe.Execute(new HostCase { Bitness = 64, Code = new byte[] { 0x90 }, Flags = AlignmentCheckAndDirection });
        outcome.Kind.ShouldBe(HostOutcomeKind.Completed);
        (outcome.Flags & AlignmentCheckAndDirection).ShouldBe(AlignmentCheckAndDirection);
        Execute(probe, 64, [0x90]).Kind.ShouldBe(HostOutcomeKind.Completed);
        probe.Starts.ShouldBe(1);
    }

    [SkippableFact]
    public void Code_under_test_cannot_call_the_kernel()
    {
        const uint Exit = 231, Exit32 = 1;
        using HostProcessorProbe probe = Create();
        HostOutcome outcome = Execute(probe, 64, a =>
        {
            a.mov(eax, Exit);
            a.syscall();
        });
        outcome.Kind.ShouldBe(HostOutcomeKind.SystemCall);
        outcome.SystemCallNumber.ShouldBe((int)Exit);
        outcome.IsCompatibilityCall.ShouldBeFalse();

        // A kernel without 32-bit system calls has no such gate: #GP.
        foreach (int bitness in new[] { 64, 32 })
        {
            outcome = Execute(probe, bitness, a =>
            {
                a.mov(eax, Exit32);
                a.@int(0x80);
            });
            (outcome.Kind == HostOutcomeKind.SystemCall ? outcome.IsCompatibilityCall : outcome.Vector == 13).ShouldBeTrue(outcome.Describe());
        }

        // AMD's processors know SYSCALL in compatibility mode, Intel's SYSENTER in both; the others raise #UD.
        foreach (string code in new[] { "0F05", "0F34" })
        {
            outcome = Execute(probe, 32, Convert.FromHexString(code));
            (outcome.Kind == HostOutcomeKind.SystemCall || outcome.Vector == 6).ShouldBeTrue(outcome.Describe());
        }

        Execute(probe, 64, [0x90]).Kind.ShouldBe(HostOutcomeKind.Completed);
    }

    [SkippableFact]
    public void Selectors_are_loaded_and_come_back()
    {
        using HostProcessorProbe probe = Create();
        HostOutcome outcome = probe.Execute(new HostCase { Bitness = 32, Code = new byte[] { 0x90 }, Ds = 0, Es = HostCase.CompatibilityCodeSelector, Fs = 0x2b, Gs = 0x33 });
        (outcome.Ds, outcome.Es, outcome.Fs, outcome.Gs, outcome.Ss).ShouldBe(((ushort)0, (ushort)0x23, (ushort)0x2b, (ushort)0x33, (ushort)0x2b));
        Should.Throw<ArgumentException>(() => probe.Execute(new HostCase { Bitness = 32, Code = new byte[] { 0x90 }, Ds = 8 })).Message.ShouldContain("#GP");
        Execute(probe, 32, [0x90]).Kind.ShouldBe(HostOutcomeKind.Completed);
        probe.Starts.ShouldBe(1);
    }

    [SkippableTheory]
    [InlineData(64)]
    [InlineData(32)]
    public void An_endless_loop_is_ended_by_the_childs_own_timer(int bitness)
    {
        using HostProcessorProbe probe = Create();
        Execute(probe, bitness, [0xeb, 0xfe]).Kind.ShouldBe(HostOutcomeKind.TimedOut);
        Execute(probe, bitness, [0x90]).Kind.ShouldBe(HostOutcomeKind.Completed);
        probe.Starts.ShouldBe(1);
    }

    [SkippableFact]
    public void A_child_that_code_under_test_ends_is_started_again()
    {
        // Only the child's own page may make system calls: code that jumps there can make it exit, and no more.
        Skip.IfNot(HostProcessorProbe.IsSupported, OtherHosts);
        byte[] image = HostProbeImage.Build(new HostProbeLayout());
        const int Headers = 0x400;
        int call = Headers + image.AsSpan(Headers).IndexOf([(byte)0x0f, (byte)0x05]);
        using HostProcessorProbe probe = Create();
        for (int round = 1; round <= 3; round++)
        {
            HostOutcome outcome = Execute(probe, 64, a =>
            {
                a.mov(eax, HostProbeCode.ExitGroup);
                a.mov(ecx, HostProbeLayout.ProbeCode + (uint)call);
                a.jmp(rcx);
            });
            outcome.Kind.ShouldBe(HostOutcomeKind.Died);
            probe.ProcessId.ShouldBeNull();
            Execute(probe, 64, [0x90]).Kind.ShouldBe(HostOutcomeKind.Completed);
            probe.Starts.ShouldBe(round + 1);
        }
    }

    [SkippableFact]
    public void A_child_that_is_killed_while_it_executes_is_started_again()
    {
        using HostProcessorProbe probe = Create();
        Execute(probe, 64, [0x90]);
        int child = probe.ProcessId!.Value;
        using var timer = new StoppingTimer(() => Send(child, Kill), 20);
        Execute(probe, 64, [0xeb, 0xfe]).Kind.ShouldBeOneOf(HostOutcomeKind.Died, HostOutcomeKind.TimedOut);
        SpinWait.SpinUntil(() => !IsRunning(child), TimeSpan.FromSeconds(10)).ShouldBeTrue();

        // Where the loop was over first the child died while it waited.
        if (probe.Starts == 1 && probe.ProcessId is not null) Execute(probe, 64, [0x90]).Kind.ShouldBe(HostOutcomeKind.Died);
        Execute(probe, 64, [0x90]).Kind.ShouldBe(HostOutcomeKind.Completed);
        probe.Starts.ShouldBe(2);
    }

    [SkippableFact]
    public void A_child_that_gives_no_answer_in_time_is_killed()
    {
        using HostProcessorProbe probe = Create();
        Execute(probe, 64, [0x90]);
        int child = probe.ProcessId!.Value;
        TimeSpan usual = probe.Patience;
        probe.Patience = TimeSpan.FromMilliseconds(200);
        Send(child, Stop);
        Execute(probe, 64, [0x90]).Kind.ShouldBe(HostOutcomeKind.Died);
        Directory.Exists($"/proc/{child}").ShouldBeFalse();
        probe.Patience = usual;
        Execute(probe, 64, [0x90]).Kind.ShouldBe(HostOutcomeKind.Completed);
    }

    [SkippableFact]
    public void Signals_that_a_process_sends_end_the_child_instead_of_being_taken_for_exceptions()
    {
        const int SegmentationFault = 11;
        using HostProcessorProbe probe = Create();
        Execute(probe, 64, [0x90]);
        Send(probe.ProcessId!.Value, SegmentationFault);
        Execute(probe, 64, [0x90]).Kind.ShouldBe(HostOutcomeKind.Died);
        Execute(probe, 64, [0x90]).Kind.ShouldBe(HostOutcomeKind.Completed);
    }

    [SkippableFact]
    public void Two_hundred_executions_take_less_than_three_seconds()
    {
        using HostProcessorProbe probe = Create();
        BusyHost.OnceOf(5, () =>
        {
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < 200; i++) Execute(probe, i % 2 == 0 ? 64 : 32, [(byte)(i % 3 == 0 ? 0xf4 : 0x90)]).Kind.ShouldNotBe(HostOutcomeKind.Died);
            Stopwatch.GetElapsedTime(start).ShouldBeLessThan(TimeSpan.FromSeconds(3));
        });
        probe.Starts.ShouldBe(1);
    }

    [SkippableFact]
    public void A_host_without_executable_memory_files_starts_the_child_from_a_file_that_does_not_stay()
    {
        Skip.IfNot(HostProcessorProbe.IsSupported, OtherHosts);
        string[] before = Directory.GetDirectories(Path.GetTempPath(), "ringfence*");
        using HelperProcess process = HelperProcess.StartFromFile(HostProbeImage.Build(new HostProbeLayout()));
        byte[] ready = new byte[HostProbeRecords.AnswerBytes];
        process.TryRead(ready, TimeSpan.FromSeconds(5)).ShouldBeTrue();
        Directory.GetDirectories(Path.GetTempPath(), "ringfence*").Where(folder => File.Exists(Path.Combine(folder, "probe"))).Except(before).ShouldBeEmpty();
    }

    [SkippableFact]
    public void What_is_not_a_program_is_an_error_of_the_host()
    {
        Skip.IfNot(HostProcessorProbe.IsSupported, OtherHosts);
        Should.Throw<IOException>(() => HelperProcess.Start("ringfence-nothing", [1, 2, 3, 4]));
    }

    internal static bool IsRunning(int process)
    {
        // A zombie has no command line.
        try
        {
            return File.ReadAllText($"/proc/{process}/cmdline").Length > 0;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static HostProcessorProbe Create()
    {
        Skip.IfNot(HostProcessorProbe.IsSupported, OtherHosts);
        return new HostProcessorProbe();
    }

    private static HostOutcome Execute(HostProcessorProbe probe, int bitness, Action<Assembler> emit)
    {
        var assembler = new Assembler(bitness);
        emit(assembler);
        var bytes = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(bytes), probe.Layout.Code + (HostProbeLayout.AreaBytes / 2));
        return Execute(probe, bitness, bytes.ToArray());
    }

    private static HostOutcome Execute(HostProcessorProbe probe, int bitness, byte[] code) => probe.Execute(new HostCase
    {
        Bitness = bitness,
        Code = code,
        Registers = [uint.MaxValue, 0, 0, probe.Layout.Data, probe.Layout.Stack + 0x800],
        Data = new byte[] { 1 },
    });

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Send(int process, int signal);
}
