using Ringfence.Storage;

namespace Ringfence.Devices.Storage;

/// <summary>
/// A drive of a deterministic machine: a request is carried out, and ends, when guest time is looked at next, one for each time. Every run
/// sees it at the same instruction.
/// </summary>
internal sealed class SynchronousDrive : ImageDrive
{
    private readonly IMachineClock _clock;
    private readonly IMachineTimer _timer;

    /// <summary>Makes a drive.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="medium">The medium, which the drive closes; null: none.</param>
    /// <param name="clock">Guest time.</param>
    /// <param name="report">Takes a line about the first failure of the host, for the user.</param>
    public SynchronousDrive(string name, BlockStore? medium, IMachineClock clock, Action<string>? report = null)
        : base(name, medium, report)
    {
        _clock = clock;
        _timer = clock.CreateTimer(Work);
    }

    /// <inheritdoc/>
    public override void Submit(BlockRequest request)
    {
        base.Submit(request);
        if (Waiting == 1) _timer.Arm(_clock.Now);
    }

    /// <inheritdoc/>
    public override void Cancel()
    {
        base.Cancel();
        _timer.Cancel();
    }

    /// <inheritdoc/>
    protected override void OnMediumRemoved() => CloseRemoved(TakeRemoved());

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _timer.Cancel();
        base.Dispose(disposing);
    }

    private void Work()
    {
        if (!TryTake(out BlockRequest request, out BlockStore? medium)) return;
        if (Waiting > 0) _timer.Arm(_clock.Now);
        Complete(request, Execute(request, medium));
    }
}
