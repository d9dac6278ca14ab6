using System.Buffers.Binary;

namespace Ringfence.Devices.Storage;

/// <summary>
/// A disk's ATA commands (ATA/ATAPI-6, chapter 8). Addresses are blocks of 28 or 48 bits, or cylinders, heads and sectors of the translation
/// that INITIALIZE DEVICE PARAMETERS set. Without a write cache a write ends when it is on the host's disk.
/// </summary>
/// <param name="drive">Where the data is.</param>
/// <param name="serial">Serial number, at most 20 characters.</param>
internal sealed class AtaDisk(BlockDrive drive, string serial) : AtaDevice(drive)
{
    private const int MostMultiple = 16;
    private const int DefaultHeads = 16;
    private const int DefaultSectors = 63;
    private const int MostCylinders = 16383;
    private const int TrimBlocks = 8;
    private const int TrimEntryBytes = 8;
    private const byte DefaultTransferMode = 0x45;

    private byte _heads = DefaultHeads;
    private byte _sectors = DefaultSectors;
    private byte _multiple;
    private byte _transferMode = DefaultTransferMode;
    private bool _writeCache = true;
    private bool _lookAhead = true;
    private bool _standby;

    // The command under way.
    private long _lba;
    private int _remaining;
    private int _blockSectors;
    private bool _isDma;
    private bool _throughCache;

    /// <inheritdoc/>
    public override ushort Signature => 0x0000;

    private long TotalSectors => (Drive.Medium?.Length ?? 0) / SectorBytes;

    /// <inheritdoc/>
    public override void Reset(bool hardware)
    {
        base.Reset(hardware);
        _standby = false;
        if (!hardware) return;
        _multiple = 0;
        _writeCache = _lookAhead = true;
        _transferMode = DefaultTransferMode;
        _heads = DefaultHeads;
        _sectors = DefaultSectors;
    }

    /// <inheritdoc/>
    public override void DescribeState(IStateVisitor visitor, string name)
    {
        Registers.DescribeState(visitor, name);
        visitor.Field($"{name}_heads", ref _heads);
        visitor.Field($"{name}_sectors", ref _sectors);
        visitor.Field($"{name}_multiple", ref _multiple);
        visitor.Field($"{name}_transfer_mode", ref _transferMode);
        visitor.Field($"{name}_write_cache", ref _writeCache);
        visitor.Field($"{name}_look_ahead", ref _lookAhead);
        visitor.Field($"{name}_standby", ref _standby);
        if (_multiple > MostMultiple || (_multiple & (_multiple - 1)) != 0) _multiple = 0;
        if (_heads is 0 or > 16) _heads = DefaultHeads;
        if (_sectors == 0) _sectors = DefaultSectors;
    }

    /// <inheritdoc/>
    protected override void OnCommand(byte command)
    {
        switch (command)
        {
            case 0x20 or 0x21: // READ SECTORS
                BeginRead(isLong: false, isDma: false, 1);
                break;
            case 0x24: // READ SECTORS EXT
                BeginRead(isLong: true, isDma: false, 1);
                break;
            case 0xc4: // READ MULTIPLE
                BeginRead(isLong: false, isDma: false, _multiple);
                break;
            case 0x29: // READ MULTIPLE EXT
                BeginRead(isLong: true, isDma: false, _multiple);
                break;
            case 0xc8 or 0xc9: // READ DMA
                BeginRead(isLong: false, isDma: true, 1);
                break;
            case 0x25: // READ DMA EXT
                BeginRead(isLong: true, isDma: true, 1);
                break;
            case 0x30 or 0x31: // WRITE SECTORS
                BeginWrite(isLong: false, isDma: false, 1);
                break;
            case 0x34: // WRITE SECTORS EXT
                BeginWrite(isLong: true, isDma: false, 1);
                break;
            case 0xc5: // WRITE MULTIPLE
                BeginWrite(isLong: false, isDma: false, _multiple);
                break;
            case 0x39: // WRITE MULTIPLE EXT
                BeginWrite(isLong: true, isDma: false, _multiple);
                break;
            case 0xce: // WRITE MULTIPLE FUA EXT
                BeginWrite(isLong: true, isDma: false, _multiple, throughCache: true);
                break;
            case 0xca or 0xcb: // WRITE DMA
                BeginWrite(isLong: false, isDma: true, 1);
                break;
            case 0x35: // WRITE DMA EXT
                BeginWrite(isLong: true, isDma: true, 1);
                break;
            case 0x3d: // WRITE DMA FUA EXT
                BeginWrite(isLong: true, isDma: true, 1, throughCache: true);
                break;
            case 0x40 or 0x41: // READ VERIFY SECTORS
                if (Begin(isLong: false, isDma: false, 1)) VerifyNext();
                break;
            case 0x42: // READ VERIFY SECTORS EXT
                if (Begin(isLong: true, isDma: false, 1)) VerifyNext();
                break;
            case 0x06: // DATA SET MANAGEMENT
                BeginTrim();
                break;
            case 0xe7 or 0xea: // FLUSH CACHE, FLUSH CACHE EXT
                Submit(BlockOperation.Flush, 0, 0, default, Conclude);
                break;
            case 0xf8: // READ NATIVE MAX ADDRESS
                Registers.Lba28 = Math.Min(TotalSectors, 0x0fff_ffff) - 1;
                Complete();
                break;
            case 0x27: // READ NATIVE MAX ADDRESS EXT
                Registers.Lba48 = TotalSectors - 1;
                Complete();
                break;
            default:
                OnControlCommand(command);
                break;
        }
    }

    private void OnControlCommand(byte command)
    {
        switch (command)
        {
            case 0xec: // IDENTIFY DEVICE
                Send(Identify());
                break;
            case 0xef: // SET FEATURES
                SetFeatures();
                break;
            case 0xc6: // SET MULTIPLE MODE
                SetMultiple((byte)Registers.SectorCount);
                break;
            case 0x91: // INITIALIZE DEVICE PARAMETERS
                SetTranslation((byte)Registers.SectorCount, (byte)((Registers.Device & 15) + 1));
                break;
            case >= 0x10 and <= 0x1f: // RECALIBRATE
                Complete();
                break;
            case >= 0x70 and <= 0x7f: // SEEK
                if (Find(isLong: false) is { } lba && lba < TotalSectors) Complete();
                else Fail(AtaError.NotFound);
                break;
            case 0x90: // EXECUTE DEVICE DIAGNOSTIC
                SetSignature();
                Transport!.Complete(this, interrupt: true);
                break;
            case 0xe0 or 0x94 or 0xe2 or 0x96 or 0xe6 or 0x99: // STANDBY IMMEDIATE, STANDBY, SLEEP
                _standby = true;
                Submit(BlockOperation.Flush, 0, 0, default, Conclude);
                break;
            case 0xe1 or 0x95 or 0xe3 or 0x97: // IDLE IMMEDIATE, IDLE
                _standby = false;
                Complete();
                break;
            case 0xe5 or 0x98: // CHECK POWER MODE
                Registers.SectorCount = _standby ? (ushort)0 : (ushort)0xff;
                Complete();
                break;
            default: // NOP, SMART, the security feature set and what is not there.
                Abort();
                break;
        }
    }

    private void SetFeatures()
    {
        switch ((byte)Registers.Features)
        {
            case 0x02:
                _writeCache = true;
                Complete();
                break;
            case 0x82:
                _writeCache = false;
                Submit(BlockOperation.Flush, 0, 0, default, Conclude);
                break;
            case 0x03 when (byte)Registers.SectorCount is <= 0x01 or >= 0x08 and <= 0x0c or >= 0x20 and <= 0x22 or >= 0x40 and <= 0x45:
                _transferMode = (byte)Registers.SectorCount;
                Complete();
                break;
            case 0x55:
                _lookAhead = false;
                Complete();
                break;
            case 0xaa:
                _lookAhead = true;
                Complete();
                break;
            case 0x66 or 0xcc: // Keep or give up settings at a software reset.
                Complete();
                break;
            default:
                Abort();
                break;
        }
    }

    private void SetMultiple(byte count)
    {
        bool isValid = count <= MostMultiple && (count & (count - 1)) == 0;
        _multiple = isValid ? count : (byte)0;
        if (isValid) Complete();
        else Abort();
    }

    private void SetTranslation(byte sectors, byte heads)
    {
        if (sectors == 0)
        {
            Abort();
            return;
        }

        _sectors = sectors;
        _heads = heads;
        Complete();
    }

    private void BeginRead(bool isLong, bool isDma, int blockSectors)
    {
        if (Begin(isLong, isDma, blockSectors)) ReadNext();
    }

    private void BeginWrite(bool isLong, bool isDma, int blockSectors, bool throughCache = false)
    {
        if (!Begin(isLong, isDma, blockSectors)) return;
        _throughCache = throughCache || !_writeCache;
        if (Drive.Medium!.IsReadOnly) Abort();
        else WriteNext(isFirst: true);
    }

    /// <summary>Takes the parameters of a command that moves sectors; false: it has ended with an error.</summary>
    private bool Begin(bool isLong, bool isDma, int blockSectors)
    {
        _standby = false;
        if (blockSectors == 0 || Drive.Medium is null)
        {
            Abort();
            return false;
        }

        int count = isLong ? Registers.SectorCount : (byte)Registers.SectorCount;
        if (count == 0) count = isLong ? 0x1_0000 : 0x100;
        if (Find(isLong) is not { } lba || lba > TotalSectors - count)
        {
            Fail(AtaError.NotFound);
            return false;
        }

        _lba = lba;
        _remaining = count;
        _isDma = isDma;
        _blockSectors = blockSectors;
        return true;
    }

    private long? Find(bool isLong)
    {
        if (isLong) return Registers.Lba48;
        if ((Registers.Device & AtaRegisters.LbaMode) != 0) return Registers.Lba28;
        int cylinder = Registers.ByteCount;
        int head = Registers.Device & 15;
        int sector = (byte)Registers.LbaLow;
        if (sector == 0 || sector > _sectors || head >= _heads) return null;
        return ((((long)cylinder * _heads) + head) * _sectors) + sector - 1;
    }

    private void ReadNext()
    {
        if (_remaining == 0)
        {
            Complete(interrupt: _isDma);
            return;
        }

        Memory<byte> data = NextBuffer();
        Submit(BlockOperation.Read, _lba * SectorBytes, data.Length, data, status =>
        {
            if (status != BlockStatus.Done)
            {
                FailAtSector(status, AtaError.Uncorrectable);
                return;
            }

            Transport!.Transfer(this, new AtaTransfer(_isDma, ToHost: true, data, _blockSectors * SectorBytes, IsFirst: false, () =>
            {
                Advance(data.Length);
                ReadNext();
            }));
        });
    }

    private void VerifyNext()
    {
        if (_remaining == 0)
        {
            Complete();
            return;
        }

        Memory<byte> data = NextBuffer();
        Submit(BlockOperation.Read, _lba * SectorBytes, data.Length, data, status =>
        {
            if (status != BlockStatus.Done)
            {
                FailAtSector(status, AtaError.Uncorrectable);
                return;
            }

            Advance(data.Length);
            VerifyNext();
        });
    }

    private void WriteNext(bool isFirst)
    {
        Memory<byte> data = NextBuffer();
        Transport!.Transfer(this, new AtaTransfer(_isDma, ToHost: false, data, _blockSectors * SectorBytes, isFirst, () =>
            Submit(BlockOperation.Write, _lba * SectorBytes, data.Length, data, status =>
            {
                if (status != BlockStatus.Done)
                {
                    FailAtSector(status, AtaError.Aborted);
                    return;
                }

                Advance(data.Length);
                if (_remaining > 0) WriteNext(isFirst: false);
                else if (_throughCache) Submit(BlockOperation.Flush, 0, 0, default, Conclude);
                else Complete();
            })));
    }

    private Memory<byte> NextBuffer() => Buffer(Math.Min(_remaining * SectorBytes, ChunkBytes));

    private void Advance(int bytes)
    {
        _lba += bytes / SectorBytes;
        _remaining -= bytes / SectorBytes;
    }

    /// <summary>Ends a command whose request to the drive was its last.</summary>
    private void Conclude(BlockStatus status)
    {
        if (status is BlockStatus.Done or BlockStatus.NoMedium) Complete();
        else Fail(AtaError.Aborted, AtaStatus.DeviceFault);
    }

    private void FailAtSector(BlockStatus status, byte error)
    {
        if (_lba <= 0x0fff_ffff && (Registers.Device & AtaRegisters.LbaMode) != 0) Registers.Lba28 = _lba;
        Fail(status == BlockStatus.OutOfRange ? AtaError.NotFound : error, status == BlockStatus.Failed && error == AtaError.Aborted ? AtaStatus.DeviceFault : (byte)0);
    }

    /// <summary>DATA SET MANAGEMENT with TRIM (ATA8-ACS-2, 7.10): sectors whose contents nobody needs any more; they read as zero afterwards.</summary>
    private void BeginTrim()
    {
        int blocks = Registers.SectorCount;
        if (((byte)Registers.Features & 1) == 0 || blocks is 0 or > TrimBlocks || Drive.Medium is not { IsReadOnly: false })
        {
            Abort();
            return;
        }

        Memory<byte> list = new byte[blocks * SectorBytes];
        Transport!.Transfer(this, new AtaTransfer(IsDma: true, ToHost: false, list, list.Length, IsFirst: false, () => TrimNext(list)));
    }

    private void TrimNext(Memory<byte> list)
    {
        while (list.Length > 0)
        {
            ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(list.Span);
            list = list[TrimEntryBytes..];
            long first = (long)(entry & 0xffff_ffff_ffff);
            long count = (long)(entry >> 48);
            if (count == 0) continue;
            if (first > TotalSectors - count)
            {
                Fail(AtaError.Aborted | AtaError.NotFound);
                return;
            }

            Submit(BlockOperation.WriteZeroes, first * SectorBytes, count * SectorBytes, default, status =>
            {
                if (status == BlockStatus.Done) TrimNext(list);
                else Conclude(status);
            });
            return;
        }

        Complete();
    }

    private byte[] Identify()
    {
        const int WriteCache = 0x20, LookAhead = 0x40, Always = 0x4008;
        long total = TotalSectors;
        int cylinders = (int)Math.Min(total / (DefaultHeads * DefaultSectors), MostCylinders);
        int currentCylinders = (int)Math.Min(total / (_heads * _sectors), ushort.MaxValue);
        AtaIdentity identity = new()
        {
            [0] = 0x0040,
            [1] = cylinders,
            [3] = DefaultHeads,
            [6] = DefaultSectors,
            [47] = 0x8000 | MostMultiple,
            [54] = currentCylinders,
            [55] = _heads,
            [56] = _sectors,
            [59] = _multiple == 0 ? 0 : 0x100 | _multiple,
            [69] = 0x4020,
            [82] = Always | WriteCache | LookAhead,
            [83] = 0x7400,
            [84] = 0x4040,
            [85] = Always | (_writeCache ? WriteCache : 0) | (_lookAhead ? LookAhead : 0),
            [86] = 0x3400,
            [87] = 0x4040,
            [105] = TrimBlocks,
            [106] = 0x4000,
            [169] = 0x0001,
            [217] = 0x0001,
        };
        identity.Describe(serial, "RINGFENCE DISK", _transferMode);
        identity.SetDouble(57, (uint)(currentCylinders * _heads * _sectors));
        identity.SetDouble(60, (uint)Math.Min(total, 0x0fff_ffff));
        identity.SetDouble(100, (uint)total);
        identity.SetDouble(102, (uint)(total >> 32));
        return identity.ToBytes();
    }
}
