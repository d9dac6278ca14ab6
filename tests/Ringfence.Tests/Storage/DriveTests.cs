using Ringfence.Devices.Storage;
using Ringfence.Storage;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Storage;

public sealed class DriveTests : IDisposable
{
    private readonly ImageFolder _folder = new();
    private readonly Lock _lock = new();
    private readonly List<string> _ended = [];
    private readonly FakeClock _clock = new();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Requests_end_in_their_order_under_the_machine_lock_and_never_at_once(bool threaded)
    {
        using ImageDrive drive = Make(threaded, Disk("a"));
        byte[] data = [.. Enumerable.Range(0, 512).Select(i => (byte)i)], read = new byte[512];
        lock (_lock)
        {
            Submit(drive, "write", BlockOperation.Write, 1024, data);
            Submit(drive, "flush", BlockOperation.Flush, 0, []);
            Submit(drive, "read", BlockOperation.Read, 1024, read);
            Submit(drive, "zero", BlockOperation.WriteZeroes, 1024, [], 512);
            Submit(drive, "beyond", BlockOperation.Read, (1 << 20) - 256, new byte[512]);
            Submit(drive, "far beyond", BlockOperation.WriteZeroes, long.MaxValue, [], long.MaxValue);
            _ended.ShouldBeEmpty();
        }

        Await(6);
        _ended.ShouldBe(["write Done", "flush Done", "read Done", "zero Done", "beyond OutOfRange", "far beyond OutOfRange"]);
        read.ShouldBe(data);
        lock (_lock) drive.Statistics.ShouldBe(new BlockDriveStatistics(1, 512, 2, 1024, 1, 2));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_firmware_reads_beside_the_requests_is_counted_with_them(bool threaded)
    {
        SlowStore slow = new();
        slow.Go.Set();
        using ImageDrive drive = Make(threaded, slow);
        byte[] data = new byte[1024];
        lock (_lock)
        {
            drive.Read(512, data).ShouldBe(BlockStatus.Done);
            drive.Read((1 << 20) - 512, data).ShouldBe(BlockStatus.OutOfRange);
            drive.Read(-512, data).ShouldBe(BlockStatus.OutOfRange);
            drive.Read(long.MaxValue, data).ShouldBe(BlockStatus.OutOfRange);
            drive.Statistics.ShouldBe(new BlockDriveStatistics(1, 1024, 0, 0, 0, 3));
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_medium_may_be_changed_taken_out_and_read_only(bool threaded)
    {
        using ImageDrive drive = Make(threaded, Disk("a"));
        DiskImage.CreateRaw(_folder["b"], 2 << 20);
        lock (_lock)
        {
            drive.ChangeMedium(null);
            Submit(drive, "none", BlockOperation.Read, 0, new byte[512]);
        }

        Await(1);
        lock (_lock)
        {
            drive.ChangeMedium(DiskImage.Open(_folder["b"], new DiskImageOptions { ReadOnly = true }));
            drive.MediumChanges.ShouldBe(2);
            Submit(drive, "write", BlockOperation.Write, 0, new byte[512]);
            Submit(drive, "zero", BlockOperation.WriteZeroes, 0, [], 512);
            Submit(drive, "flush", BlockOperation.Flush, 0, []);
            Submit(drive, "read", BlockOperation.Read, (2 << 20) - 512, new byte[512]);
        }

        Await(5);
        _ended.ShouldBe(["none NoMedium", "write ReadOnly", "zero ReadOnly", "flush Done", "read Done"]);

        // The first medium is closed: nobody has it locked any more.
        DiskImage.Open(_folder["a"]).Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_reset_forgets_what_has_not_begun(bool threaded)
    {
        SlowStore slow = new();
        using ImageDrive drive = Make(threaded, slow);
        lock (_lock)
        {
            for (int i = 0; i < 5; i++) Submit(drive, $"{i}", BlockOperation.Read, 0, new byte[512]);
        }

        if (threaded) slow.Begun.Wait();
        lock (_lock) drive.Cancel();
        slow.Go.Set();
        lock (_lock) Submit(drive, "after", BlockOperation.Read, 0, new byte[512]);
        Await(threaded ? 2 : 1);
        _ended.ShouldBe(threaded ? ["0 Done", "after Done"] : ["after Done"]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_failure_of_the_host_fails_the_request_and_is_told_once(bool threaded)
    {
        List<string> told = [];
        SlowStore store = new() { Fails = true };
        store.Go.Set();
        using ImageDrive drive = Make(threaded, store, told.Add);
        lock (_lock)
        {
            for (int i = 0; i < 3; i++) Submit(drive, $"{i}", BlockOperation.Read, 0, new byte[512]);
        }

        Await(3);
        _ended.ShouldBe(["0 Failed", "1 Failed", "2 Failed"]);
        told.ShouldBe(["disk0: the disk is on fire"]);
        lock (_lock) drive.Statistics.Failures.ShouldBe(3);
    }

    [Fact]
    public async Task A_drive_ends_when_its_request_does_and_closes_its_medium()
    {
        SlowStore slow = new();
        ImageDrive drive = Make(threaded: true, slow);
        lock (_lock) Submit(drive, "0", BlockOperation.Read, 0, new byte[512]);
        slow.Begun.Wait();
        Task end = Task.Run(drive.Dispose);
        Thread.Sleep(20);
        end.IsCompleted.ShouldBeFalse();
        slow.Go.Set();
        await end.WaitAsync(TimeSpan.FromSeconds(10));
        slow.IsClosed.ShouldBeTrue();
        drive.Dispose();
    }

    public void Dispose() => _folder.Dispose();

    private BlockStore Disk(string name)
    {
        DiskImage.CreateRaw(_folder[name], 1 << 20);
        return DiskImage.Open(_folder[name]);
    }

    private ImageDrive Make(bool threaded, BlockStore medium, Action<string>? report = null) =>
        threaded ? new ThreadedDrive("disk0", medium, _lock, report) : new SynchronousDrive("disk0", medium, _clock, report);

    private void Submit(ImageDrive drive, string name, BlockOperation operation, long offset, byte[] data, long length = 0) =>
        drive.Submit(new BlockRequest(operation, offset, length == 0 ? data.Length : length, data, status =>
        {
            _lock.IsHeldByCurrentThread.ShouldBeTrue();
            _ended.Add($"{name} {status}");
        }));

    private void Await(int count)
    {
        for (int i = 0; i < 1000; i++)
        {
            lock (_lock)
            {
                _clock.Advance(0);
                if (_ended.Count >= count) return;
            }

            Thread.Sleep(5);
        }

        throw new TimeoutException();
    }

    private sealed class SlowStore : BlockStore
    {
        public ManualResetEventSlim Begun { get; } = new();

        public ManualResetEventSlim Go { get; } = new();

        public bool Fails { get; init; }

        public bool IsClosed { get; private set; }

        public override long Length => 1 << 20;

        public override bool IsReadOnly => false;

        public override void Read(long offset, Span<byte> data)
        {
            Begun.Set();
            Go.Wait();
            if (Fails) throw new IOException("the disk is on fire");
        }

        public override void Write(long offset, ReadOnlySpan<byte> data) => throw new NotSupportedException();

        public override void WriteZeroes(long offset, long length) => throw new NotSupportedException();

        public override void Flush()
        {
        }

        protected override void Dispose(bool disposing) => IsClosed = true;
    }
}
