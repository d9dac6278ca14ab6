namespace Ringfence.Devices.Storage;

/// <content>The commands that move no data (82077AA data sheet, 5.1 and 5.2).</content>
internal sealed partial class FloppyController
{
    private const byte OpcodeMask = 0x1f;
    private const byte ReadTrack = 0x02;
    private const byte Specify = 0x03;
    private const byte SenseDriveStatus = 0x04;
    private const byte WriteData = 0x05;
    private const byte ReadData = 0x06;
    private const byte Recalibrate = 0x07;
    private const byte SenseInterruptStatus = 0x08;
    private const byte WriteDeletedData = 0x09;
    private const byte ReadId = 0x0a;
    private const byte ReadDeletedData = 0x0c;
    private const byte FormatTrack = 0x0d;
    private const byte DumpRegisters = 0x0e;
    private const byte Seek = 0x0f;
    private const byte Version = 0x10;
    private const byte PerpendicularMode = 0x12;
    private const byte Configure = 0x13;
    private const byte Lock = 0x14;
    private const byte Verify = 0x16;

    private const byte InvalidCommand = 0x80;
    private const byte Abnormal = 0x40;
    private const byte ReadyChanged = 0xc0;
    private const byte SeekEnd = 0x20;
    private const byte EquipmentCheck = 0x10;

    private const byte ImpliedSeek = 0x40;
    private const byte MissingAddressMark = 0x01;
    private const byte NoFifo = 0x20;

    /// <summary>Bytes of a command, its first among them. One that is not known is one byte long.</summary>
    private static byte CommandLength(byte command) => (command & OpcodeMask) switch
    {
        ReadTrack or WriteData or ReadData or WriteDeletedData or ReadDeletedData or Verify => 9,
        FormatTrack => 6,
        Configure => 4,
        Specify or Seek => 3,
        SenseDriveStatus or Recalibrate or ReadId or PerpendicularMode => 2,
        _ => 1,
    };

    private void ExecuteCommand()
    {
        byte command = (byte)(_parameters[0] & OpcodeMask);
        FloppyDrive drive = _drives[_parameters[1] & 3];
        switch (command)
        {
            case ReadTrack or WriteData or ReadData or WriteDeletedData or ReadDeletedData or Verify or FormatTrack or ReadId:
                _timer.Arm(_clock.Now + AccessTime);
                break;
            case Specify:
                _stepTimes = _parameters[1];
                _loadTimes = _parameters[2];
                BeginCommandPhase();
                break;
            case SenseDriveStatus:
                Answer([DriveStatus(drive)]);
                break;
            case Recalibrate:
                BeginSeek(_parameters[1] & 3, 0);
                break;
            case Seek:
                BeginSeek(_parameters[1] & 3, SeekTarget(drive));
                break;
            case SenseInterruptStatus:
                SenseInterrupt();
                break;
            case DumpRegisters:
                Answer(
                [
                    _drives[0].Track, _drives[1].Track, _drives[2].Track, _drives[3].Track, _stepTimes, _loadTimes, _lastSectorCount,
                    (byte)((_isLocked ? 0x80 : 0) | (_perpendicular & 0x3f)), _configuration, _precompensation,
                ]);
                break;
            case Version:
                Answer([0x90]);
                break;
            case PerpendicularMode:
                // OW lets the drives' bits be written.
                _perpendicular = (byte)((_parameters[1] & 0x80) != 0 ? _parameters[1] & 0x3f : (_perpendicular & 0x3c) | (_parameters[1] & 3));
                BeginCommandPhase();
                break;
            case Configure:
                _configuration = (byte)(_parameters[2] & 0x7f);
                _precompensation = _parameters[3];
                BeginCommandPhase();
                break;
            case Lock:
                _isLocked = (_parameters[0] & 0x80) != 0;
                Answer([(byte)(_isLocked ? 0x10 : 0)]);
                break;
            default:
                MisuseCount++;
                Answer([InvalidCommand]);
                break;
        }
    }

    /// <summary>Goes on with a command after the time its beginning took.</summary>
    private void ContinueCommand()
    {
        switch (_parameters[0] & OpcodeMask)
        {
            case ReadId:
                AnswerId();
                break;
            case FormatTrack:
                BeginFormat();
                break;
            default:
                BeginData();
                break;
        }
    }

    private byte SeekTarget(FloppyDrive drive)
    {
        // RELATIVE SEEK has bit 7, and bit 6 of it the direction.
        if ((_parameters[0] & 0x80) == 0) return _parameters[2];
        int target = (_parameters[0] & 0x40) != 0 ? drive.Track + _parameters[2] : drive.Track - _parameters[2];
        return (byte)Math.Clamp(target, 0, 255);
    }

    private void BeginSeek(int number, byte target)
    {
        FloppyDrive drive = _drives[number];
        drive.Target = target;
        drive.IsSeeking = true;
        drive.SeekStatus = 0;
        drive.Timer.Arm(_clock.Now + SeekTime);
        BeginCommandPhase();
    }

    private void EndSeek(int number)
    {
        FloppyDrive drive = _drives[number];
        if (!drive.IsSeeking) return;
        drive.IsSeeking = false;
        drive.SeekStatus = (byte)(SeekEnd | number);
        if (drive.Drive is null)
        {
            // No drive says that its head is at track 0.
            if (drive.Target == 0) drive.SeekStatus |= Abnormal | EquipmentCheck;
        }
        else
        {
            drive.Track = drive.Target;
            drive.NoteStep();
        }

        RaiseInterrupt();
    }

    private void SenseInterrupt()
    {
        LowerInterrupt();
        if (_resetStatuses > 0)
        {
            int number = Drives - _resetStatuses--;
            Answer([(byte)(ReadyChanged | number), _drives[number].Track]);
            return;
        }

        foreach (FloppyDrive drive in _drives)
        {
            if (drive.SeekStatus == 0) continue;
            byte status = drive.SeekStatus;
            drive.SeekStatus = 0;
            Answer([status, drive.Track]);
            if (Array.Exists(_drives, other => other.SeekStatus != 0)) RaiseInterrupt();
            return;
        }

        MisuseCount++;
        Answer([InvalidCommand]);
    }

    private byte DriveStatus(FloppyDrive drive)
    {
        const byte WriteProtected = 0x40, Ready = 0x20, Track0 = 0x10, TwoSided = 0x08;
        byte status = (byte)(Ready | TwoSided | (_parameters[1] & 7));
        if (drive.Drive is null) return status;
        if (drive.Track == 0) status |= Track0;
        if (drive.Drive.Medium is null or { IsReadOnly: true }) status |= WriteProtected;
        return status;
    }

    /// <summary>READ ID gives the next sector that passes below the head.</summary>
    private void AnswerId()
    {
        FloppyDrive drive = _drives[_parameters[1] & 3];
        int head = (_parameters[1] >> 2) & 1;
        byte status = (byte)(_parameters[1] & 7);
        if (Readable(drive, head) is not { } geometry)
        {
            Answer([(byte)(status | Abnormal), MissingAddressMark, 0, drive.Track, (byte)head, 1, 2], interrupt: true);
            return;
        }

        _rotation = (byte)((_rotation + 1) % geometry.Sectors);
        Answer([status, 0, 0, drive.Track, (byte)head, (byte)(_rotation + 1), 2], interrupt: true);
    }

    /// <summary>The format below the head, if it can be read at the data rate that is set, in MFM.</summary>
    private FloppyGeometry? Readable(FloppyDrive drive, int head) =>
        drive.Geometry is { } geometry && (geometry.Rates & (1 << _rate)) != 0 && head < geometry.Heads && drive.Track < geometry.Cylinders
        && (_parameters[0] & 0x40) != 0 ? geometry : null;
}
