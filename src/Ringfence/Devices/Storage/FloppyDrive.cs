namespace Ringfence.Devices.Storage;

/// <summary>One floppy drive: where its head stands, and whether its disk change line is active.</summary>
/// <param name="drive">The medium; null: the drive is not there.</param>
/// <param name="timer">Ends its seeks.</param>
internal sealed class FloppyDrive(BlockDrive? drive, IMachineTimer timer)
{
    private byte _track;
    private byte _target;
    private byte _seekStatus;
    private bool _isChanged = true;
    private bool _isSeeking;
    private int _seenChanges = drive?.MediumChanges ?? 0;

    /// <summary>The medium; null: the drive is not there.</summary>
    public BlockDrive? Drive => drive;

    /// <summary>Ends its seeks.</summary>
    public IMachineTimer Timer => timer;

    /// <summary>The cylinder below the head.</summary>
    public byte Track { get => _track; set => _track = value; }

    /// <summary>Where it is going.</summary>
    public byte Target { get => _target; set => _target = value; }

    /// <summary>ST0 of a seek that has ended and that nobody has asked about; 0: none.</summary>
    public byte SeekStatus { get => _seekStatus; set => _seekStatus = value; }

    /// <summary>Is a seek under way?</summary>
    public bool IsSeeking { get => _isSeeking; set => _isSeeking = value; }

    /// <summary>The format of the medium; null: there is none that could be read.</summary>
    public FloppyGeometry? Geometry => drive?.Medium is { } medium ? FloppyGeometry.Of(medium.Length) : null;

    /// <summary>The disk change line: the medium was changed, or there is none, since the head moved last.</summary>
    public bool IsChanged
    {
        get
        {
            NoteChange();
            return drive is not null && _isChanged;
        }
    }

    /// <summary>The head has moved, which releases the disk change line if a medium is in.</summary>
    public void NoteStep()
    {
        NoteChange();
        if (drive?.Medium is not null) _isChanged = false;
    }

    /// <summary>Forgets seeks.</summary>
    public void Cancel()
    {
        _isSeeking = false;
        _seekStatus = 0;
        timer.Cancel();
    }

    /// <summary>Visits its state.</summary>
    public void DescribeState(IStateVisitor visitor, string name)
    {
        visitor.Field($"{name}_track", ref _track);
        visitor.Field($"{name}_target", ref _target);
        visitor.Field($"{name}_seek_status", ref _seekStatus);
        visitor.Field($"{name}_seeking", ref _isSeeking);
        visitor.Field($"{name}_changed", ref _isChanged);
    }

    private void NoteChange()
    {
        if (drive is null || drive.MediumChanges == _seenChanges) return;
        _seenChanges = drive.MediumChanges;
        _isChanged = true;
    }
}
