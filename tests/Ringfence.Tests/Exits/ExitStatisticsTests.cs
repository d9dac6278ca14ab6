using Ringfence.Processors.Exits;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Exits;

public sealed class ExitStatisticsTests
{
    private readonly Recorder _recorder = new();
    private ExitStatistics _exits;

    public ExitStatisticsTests() => _exits = new ExitStatistics { IsTimed = true, Recorder = _recorder };

    [Fact]
    public void An_exit_has_the_most_specific_of_the_reasons_found_while_it_was_dealt_with()
    {
        _exits.Enter(ExitReason.Emulation);
        _exits.Enter(ExitReason.TlbFill);
        _exits.Leave();
        _exits.Enter(ExitReason.Mmio);
        _exits.Leave();
        _exits.Leave();
        Counts().ShouldBe([(ExitReason.Mmio, 1)]);
    }

    [Fact]
    public void What_follows_an_exit_without_guest_code_in_between_is_an_exit_of_its_own()
    {
        _exits.BeginGuest();
        _exits.EndGuest();
        _exits.Count(ExitReason.PrivilegedInstruction);
        _exits.Count(ExitReason.ExternalInterrupt);
        _exits.BeginGuest();
        Counts().ShouldBe([(ExitReason.PrivilegedInstruction, 1), (ExitReason.ExternalInterrupt, 1)]);
    }

    [Fact]
    public void Guest_code_that_comes_back_and_goes_on_without_a_reason_was_a_lookup()
    {
        _exits.BeginGuest();
        _exits.EndGuest();
        _exits.BeginGuest();
        _exits.EndGuest();
        _exits.Count(ExitReason.Emulation);
        _exits.BeginGuest();
        Counts().ShouldBe([(ExitReason.CodeLookup, 1), (ExitReason.Emulation, 1)]);
    }

    [Fact]
    public void An_instruction_that_faults_is_one_exit_and_its_time_is_the_faults()
    {
        _exits.BeginGuest();
        _exits.EndGuest();
        _exits.Enter(ExitReason.PrivilegedInstruction);
        Thread.Sleep(20);
        _exits.Leave(counts: false);
        _exits.Enter(ExitReason.Exception);
        _exits.Leave();
        _exits.BeginGuest();
        Counts().ShouldBe([(ExitReason.Exception, 1)]);
        _exits.TimeOf(ExitReason.PrivilegedInstruction).ShouldBe(TimeSpan.Zero);
        _exits.TimeOf(ExitReason.Exception).ShouldBeGreaterThan(TimeSpan.FromMilliseconds(15));
    }

    [Fact]
    public void Inside_guest_code_that_is_C_sharp_an_exit_returns_to_it()
    {
        _exits.BeginGuest();
        Thread.Sleep(20);
        _exits.Enter(ExitReason.PortIo);
        _exits.Leave(counts: false);
        _exits.Enter(ExitReason.PageFault);
        _exits.Leave();
        Thread.Sleep(20);
        _exits.EndRun();
        Counts().ShouldBe([(ExitReason.PageFault, 1)]);
        _exits.GuestTime.ShouldBeGreaterThan(TimeSpan.FromMilliseconds(30));
        _exits.TimeOf(ExitReason.PageFault).ShouldBeLessThan(_exits.GuestTime);
    }

    [Fact]
    public void Every_moment_belongs_to_one_account() => BusyHost.OnceOf(20, () =>
    {
        _exits = new ExitStatistics { IsTimed = true };
        long start = System.Diagnostics.Stopwatch.GetTimestamp();
        _exits.BeginGuest();
        for (int i = 0; i < 1000; i++)
        {
            _exits.Enter(ExitReason.PortIo);
            _exits.Leave();
            _exits.EndGuest();
            _exits.Count(ExitReason.TlbFill);
            _exits.BeginGuest();
        }

        _exits.EndRun();
        _exits.BeginIdle();
        Thread.Sleep(10);
        _exits.EndIdle();
        TimeSpan all = _exits.GuestTime + _exits.IdleTime;
        foreach (ExitReason reason in Enum.GetValues<ExitReason>()) all += _exits.TimeOf(reason);
        TimeSpan wall = System.Diagnostics.Stopwatch.GetElapsedTime(start);
        all.ShouldBeLessThanOrEqualTo(wall);
        all.ShouldBeGreaterThan(wall - TimeSpan.FromMilliseconds(5));
        _exits.IdleTime.ShouldBeGreaterThanOrEqualTo(TimeSpan.FromMilliseconds(9));
    });

    [Fact]
    public void A_record_has_the_last_reason_the_address_and_the_detail()
    {
        _exits.BeginGuest();
        _exits.EndGuest();
        _exits.Enter(ExitReason.Emulation);
        _exits.At(0x1234);
        _exits.Enter(ExitReason.Mmio);
        _exits.Describe(0xfee0_0000);
        _exits.Leave();
        _exits.Leave();
        _exits.BeginGuest();
        ExitRecord record = _recorder.Records.ShouldHaveSingleItem();
        (record.Reason, record.Address, record.Detail, record.IsIdle).ShouldBe((ExitReason.Mmio, 0x1234UL, 0xfee0_0000UL, false));
        record.End.ShouldBeGreaterThanOrEqualTo(record.Start);
    }

    [Fact]
    public void What_is_only_tried_is_not_counted()
    {
        _exits.Suspend();
        _exits.Count(ExitReason.PrivilegedInstruction);
        _exits.Continue();
        Counts().ShouldBeEmpty();
    }

    private (ExitReason Reason, long Count)[] Counts() =>
        [.. Enum.GetValues<ExitReason>().Select(r => (r, _exits[r])).Where(c => c.Item2 != 0)];

    private sealed class Recorder : IExitRecorder
    {
        public List<ExitRecord> Records { get; } = [];

        public void Record(in ExitRecord exit) => Records.Add(exit);
    }
}
