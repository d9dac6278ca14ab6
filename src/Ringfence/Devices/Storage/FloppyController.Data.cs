namespace Ringfence.Devices.Storage;

/// <content>
/// The commands that move data (82077AA data sheet, 5.1). A run is what lies between the current sector and the last of its track; a command is one run,
/// or with MT one on each side. A terminal count of the DMA controller ends it well; the end of the cylinder without one is an error.
/// </content>
internal sealed partial class FloppyController
{
    private const byte EndOfCylinder = 0x80;
    private const byte DataError = 0x20;
    private const byte Overrun = 0x10;
    private const byte NoData = 0x04;
    private const byte NotWritable = 0x02;
    private const byte WrongCylinder = 0x10;
    private const byte DataErrorInField = 0x20;
    private const byte ControlMark = 0x40;
    private const byte MultiTrack = 0x80;
    private const byte EnableCount = 0x80;
    private const int SectorSize512 = 2;
    private const int IdBytes = 4;

    private byte[] _data = [];
    private int _dataPosition;
    private int _dataGeneration;
    private bool _isDataWaiting;
    private FloppyGeometry? _geometry;
    private int _head;
    private int _cylinder;
    private int _sector;
    private int _lastSector;
    private int _verifySectors;

    private FloppyDrive DataDrive => _drives[_parameters[1] & 3];

    private int Opcode => _parameters[0] & OpcodeMask;

    private bool IsWrite => Opcode is WriteData or WriteDeletedData;

    private void ForgetData()
    {
        _dataGeneration++;
        if (_isDataWaiting) DataDrive.Drive?.Cancel();
        _isDataWaiting = false;
        _data = [];
    }

    private void BeginData()
    {
        FloppyDrive drive = DataDrive;
        _head = (_parameters[1] >> 2) & 1;
        _cylinder = _parameters[2];
        _sector = Opcode == ReadTrack ? 1 : _parameters[4];
        _lastSector = _parameters[6];
        _lastSectorCount = _parameters[6];
        bool counts = Opcode == Verify && (_parameters[1] & EnableCount) != 0;
        _verifySectors = counts ? _parameters[8] == 0 ? 256 : _parameters[8] : int.MaxValue;
        if ((_configuration & ImpliedSeek) != 0 && drive.Drive is not null)
        {
            drive.Track = _parameters[2];
            drive.NoteStep();
        }

        _geometry = Readable(drive, _head);
        if (_geometry is null) EndData(MissingAddressMark, 0);
        else if (_cylinder != drive.Track) EndData(NoData, WrongCylinder);
        else if (_parameters[3] != _head || _parameters[5] != SectorSize512 || _sector == 0 || _sector > _geometry.Sectors) EndData(NoData, 0);
        else if (IsWrite && drive.Drive!.Medium!.IsReadOnly) EndData(NotWritable, 0);
        else BeginRun();
    }

    private void BeginRun()
    {
        int last = Math.Clamp(_lastSector, _sector, _geometry!.Sectors);
        int sectors = Math.Min(last - _sector + 1, _verifySectors);
        _data = new byte[sectors * FloppyGeometry.SectorBytes];
        _dataPosition = 0;
        if (!IsWrite)
        {
            Submit(BlockOperation.Read, _data, Deliver);
            return;
        }

        if (!UsesDma)
        {
            _phase = Phase.DataFromHost;
            RaiseInterrupt();
            return;
        }

        int moved = TransferDma(_data, toMemory: false, out bool terminalCount);
        if (moved == 0 || (moved < _data.Length && !terminalCount)) EndData(Overrun, 0);
        else Store(moved, terminalCount);
    }

    private void Store(int bytes, bool terminalCount)
    {
        int sectors = (bytes + FloppyGeometry.SectorBytes - 1) / FloppyGeometry.SectorBytes;
        Submit(BlockOperation.Write, _data.AsMemory(0, sectors * FloppyGeometry.SectorBytes), () => EndRun(sectors, terminalCount));
    }

    private void Deliver()
    {
        int sectors = _data.Length / FloppyGeometry.SectorBytes;
        if (Opcode == Verify)
        {
            _verifySectors -= sectors;
            EndRun(sectors, _verifySectors == 0);
            return;
        }

        if (!UsesDma)
        {
            _phase = Phase.DataToHost;
            RaiseInterrupt();
            return;
        }

        int moved = TransferDma(_data, toMemory: true, out bool terminalCount);
        if (moved < _data.Length && !terminalCount) EndData(Overrun, 0);
        else EndRun((moved + FloppyGeometry.SectorBytes - 1) / FloppyGeometry.SectorBytes, terminalCount);
    }

    private void EndRun(int sectors, bool terminalCount)
    {
        _sector += sectors;
        bool isLast = _sector > Math.Min(_lastSector, _geometry!.Sectors);
        if (terminalCount)
        {
            if (isLast) TurnOver();
            EndData(0, 0);
        }
        else if (_lastSector > _geometry.Sectors)
        {
            EndData(NoData, 0);
        }
        else if (TurnOver())
        {
            BeginRun();
        }
        else
        {
            EndData(Opcode == Verify ? (byte)0 : EndOfCylinder, 0);
        }
    }

    /// <summary>Behind the last sector of a track comes, with MT, the other side, and otherwise the next cylinder, which the results name (data sheet, table 5-6).</summary>
    /// <returns>Does the command go on?</returns>
    private bool TurnOver()
    {
        bool isMultiTrack = (_parameters[0] & MultiTrack) != 0;
        _sector = 1;
        if (isMultiTrack && _head == 0 && _geometry!.Heads > 1)
        {
            _head = 1;
            return true;
        }

        if (isMultiTrack) _head = 0;
        _cylinder++;
        return false;
    }

    private void EndData(byte status1, byte status2)
    {
        _data = [];
        byte status0 = (byte)((_parameters[1] & 3) | (_head << 2));
        if (status1 != 0) status0 |= Abnormal;
        if (Opcode == ReadDeletedData && status1 == 0) status2 |= ControlMark;
        int head = Opcode == FormatTrack || _geometry is not null ? _head : _parameters[3];
        Answer([status0, status1, status2, (byte)_cylinder, (byte)head, (byte)_sector, SectorSize512], interrupt: true);
    }

    private void Submit(BlockOperation operation, Memory<byte> data, Action done)
    {
        FloppyDrive drive = DataDrive;
        long offset = ((((long)drive.Track * _geometry!.Heads) + _head) * _geometry.Sectors + _sector - 1) * FloppyGeometry.SectorBytes;
        // An image may end before its format does: there is nothing to read, and no room to write.
        long available = Math.Max((drive.Drive!.Medium?.Length ?? 0) - offset, 0);
        if (available < data.Length)
        {
            if (operation != BlockOperation.Read)
            {
                EndData(DataError, DataErrorInField);
                return;
            }

            data = data[..(int)available];
        }

        int generation = _dataGeneration;
        _isDataWaiting = true;
        drive.Drive.Submit(new BlockRequest(operation, offset, data.Length, data, status =>
        {
            if (generation != _dataGeneration) return;
            _isDataWaiting = false;
            if (status == BlockStatus.Done) done();
            else if (status == BlockStatus.ReadOnly) EndData(NotWritable, 0);
            else EndData(DataError, DataErrorInField);
        }));
    }

    private int TransferDma(Span<byte> data, bool toMemory, out bool terminalCount)
    {
        terminalCount = false;
        return (_digitalOutput & GateOpen) == 0 ? 0 : _dma.Transfer(DmaChannel, data, toMemory, out terminalCount);
    }

    private byte ReadDataByte()
    {
        byte value = _data[_dataPosition++];
        if (_dataPosition < _data.Length) return value;
        LowerInterrupt();
        _phase = Phase.Execution;
        EndRun(_data.Length / FloppyGeometry.SectorBytes, terminalCount: false);
        return value;
    }

    private void WriteDataByte(byte value)
    {
        _data[_dataPosition++] = value;
        if (_dataPosition < _data.Length) return;
        LowerInterrupt();
        _phase = Phase.Execution;
        if (Opcode == FormatTrack) FormatSectors(_data, 0);
        else Store(_data.Length, terminalCount: false);
    }

    /// <summary>FORMAT TRACK: the host gives each sector's address, the controller writes the filler (data sheet, 5.1.8).</summary>
    private void BeginFormat()
    {
        FloppyDrive drive = DataDrive;
        int sectors = _parameters[3];
        _head = (_parameters[1] >> 2) & 1;
        _cylinder = drive.Track;
        _sector = 1;
        _lastSectorCount = _parameters[3];
        _geometry = Readable(drive, _head);
        if (_geometry is null || sectors == 0 || sectors > _geometry.Sectors || _parameters[2] != SectorSize512)
        {
            EndData(MissingAddressMark, 0);
            return;
        }

        if (drive.Drive!.Medium!.IsReadOnly)
        {
            EndData(NotWritable, 0);
            return;
        }

        _data = new byte[sectors * IdBytes];
        _dataPosition = 0;
        if (!UsesDma)
        {
            _phase = Phase.DataFromHost;
            RaiseInterrupt();
            return;
        }

        int moved = TransferDma(_data, toMemory: false, out _);
        if (moved < _data.Length) EndData(Overrun, 0);
        else FormatSectors(_data, 0);
    }

    private void FormatSectors(byte[] ids, int at)
    {
        // Addresses that cannot be found again are written like the others, and lost.
        while (at < ids.Length && (ids[at] != DataDrive.Track || ids[at + 1] != _head || ids[at + 2] == 0 || ids[at + 2] > _geometry!.Sectors)) at += IdBytes;
        if (at >= ids.Length)
        {
            _sector = 1;
            EndData(0, 0);
            return;
        }

        byte[] filler = new byte[FloppyGeometry.SectorBytes];
        filler.AsSpan().Fill(_parameters[5]);
        _sector = ids[at + 2];
        Submit(BlockOperation.Write, filler, () => FormatSectors(ids, at + IdBytes));
    }
}
