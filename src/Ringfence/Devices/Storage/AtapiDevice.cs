using System.Buffers.Binary;

namespace Ringfence.Devices.Storage;

/// <summary>
/// A CD-ROM drive with the packet command set (ATA/ATAPI-6, 9.8 to 9.10; MMC-5). A command that fails leaves a sense code for REQUEST SENSE; a
/// change of the medium and power-on are reported once, by the next command that does not say otherwise (unit attention). An image larger
/// than a CD is a DVD-ROM.
/// </summary>
/// <param name="drive">Where the data is.</param>
/// <param name="serial">Serial number, at most 20 characters.</param>
internal sealed partial class AtapiDevice(BlockDrive drive, string serial) : AtaDevice(drive)
{
    /// <summary>Bytes of a block.</summary>
    public const int BlockBytes = 2048;

    private const int PacketBytes = 12;
    private const int RawBytes = 2352;
    private const int RawHeaderBytes = 16;
    private const byte DefaultTransferMode = 0x45;
    private const byte IsCommand = 0x01;
    private const byte IsToHost = 0x02;

    private readonly byte[] _packet = new byte[PacketBytes];
    private byte _transferMode = DefaultTransferMode;
    private byte _key;
    private byte _code;
    private byte _qualifier;
    private bool _poweredOn = true;
    private bool _isLocked;
    private bool _isOpen;
    private int _seenChanges = drive.MediumChanges;
    private bool _changed;
    private MediaEvent _event;

    // The command under way.
    private bool _isDma;
    private int _byteCountLimit;
    private long _block;
    private int _remaining;

    private enum MediaEvent : byte
    {
        None,
        EjectRequest,
        NewMedia,
        MediaRemoval,
    }

    /// <inheritdoc/>
    public override ushort Signature => 0xeb14;

    /// <summary>The guest has opened the tray; a new medium closes it.</summary>
    public bool IsTrayOpen
    {
        get
        {
            NoteChanges();
            return _isOpen;
        }
    }

    /// <summary>The guest holds the medium in the drive.</summary>
    public bool IsLocked => _isLocked;

    private bool HasMedium => !_isOpen && Drive.Medium is not null;

    private long Blocks => HasMedium ? Drive.Medium!.Length / BlockBytes : 0;

    /// <inheritdoc/>
    public override void Reset(bool hardware)
    {
        base.Reset(hardware);
        if (!hardware) return;
        _transferMode = DefaultTransferMode;
        SetSense(SenseCode.None);
        _isLocked = false;
        _poweredOn = true;
    }

    /// <inheritdoc/>
    public override void SetSignature()
    {
        base.SetSignature();
        // Not ready until it is spoken to as a packet device (ATA/ATAPI-6, 9.12).
        Registers.Status = 0;
    }

    /// <inheritdoc/>
    public override void DescribeState(IStateVisitor visitor, string name)
    {
        Registers.DescribeState(visitor, name);
        visitor.Field($"{name}_transfer_mode", ref _transferMode);
        visitor.Field($"{name}_sense_key", ref _key);
        visitor.Field($"{name}_sense_code", ref _code);
        visitor.Field($"{name}_sense_qualifier", ref _qualifier);
        visitor.Field($"{name}_powered_on", ref _poweredOn);
        visitor.Field($"{name}_locked", ref _isLocked);
        visitor.Field($"{name}_open", ref _isOpen);
        visitor.Field($"{name}_changed", ref _changed);
        visitor.Field($"{name}_event", ref _event);
    }

    /// <inheritdoc/>
    protected override void OnCommand(byte command)
    {
        switch (command)
        {
            case 0xa0: // PACKET
                _isDma = (Registers.Features & 1) != 0;
                _byteCountLimit = Registers.ByteCount;
                Registers.SectorCount = IsCommand;
                Transport!.ReceivePacket(this, _packet, ExecutePacket);
                break;
            case 0xa1: // IDENTIFY PACKET DEVICE
                Send(Identify());
                break;
            case 0x08: // DEVICE RESET
                Forget();
                SetSignature();
                Transport!.Complete(this, interrupt: false);
                break;
            case 0x90: // EXECUTE DEVICE DIAGNOSTIC
                SetSignature();
                Transport!.Complete(this, interrupt: true);
                break;
            case 0xef when (byte)Registers.Features == 0x03: // SET FEATURES: transfer mode
                _transferMode = (byte)Registers.SectorCount;
                Complete();
                break;
            case 0xe0 or 0xe1 or 0xe2 or 0xe3 or 0xe6: // STANDBY IMMEDIATE, IDLE IMMEDIATE, STANDBY, IDLE, SLEEP
                Complete();
                break;
            case 0xe5: // CHECK POWER MODE
                Registers.SectorCount = 0xff;
                Complete();
                break;
            case 0xec or 0x20: // IDENTIFY DEVICE, READ SECTORS: who asks finds the signature.
                SetSignature();
                Abort();
                break;
            default:
                Abort();
                break;
        }
    }

    private void ExecutePacket()
    {
        NoteChanges();
        byte operation = _packet[0];
        // INQUIRY, REQUEST SENSE, GET CONFIGURATION and GET EVENT STATUS NOTIFICATION work in every state and leave unit attentions alone.
        bool isAlways = operation is 0x12 or 0x03 or 0x46 or 0x4a;
        if (!isAlways)
        {
            if (TakeAttention() is { } attention)
            {
                Fail(attention);
                return;
            }

            if (NeedsMedium(operation) && !HasMedium)
            {
                Fail(_isOpen ? SenseCode.TrayOpen : SenseCode.NoMedium);
                return;
            }
        }

        if (operation != 0x03) SetSense(SenseCode.None);
        Dispatch(operation);
    }

    private void Dispatch(byte operation)
    {
        switch (operation)
        {
            case 0x00: // TEST UNIT READY
            case 0x2f: // VERIFY
            case 0xbb: // SET CD SPEED
                CompletePacket();
                break;
            case 0x03: // REQUEST SENSE
                ReplySense();
                break;
            case 0x12: // INQUIRY
                if ((_packet[1] & 1) != 0 || _packet[2] != 0) Fail(SenseCode.InvalidField);
                else Reply(Inquiry(), _packet[4]);
                break;
            case 0x1a: // MODE SENSE (6)
                ModeSense(isLong: false, _packet[4]);
                break;
            case 0x5a: // MODE SENSE (10)
                ModeSense(isLong: true, Word(7));
                break;
            case 0x1b: // START STOP UNIT
                StartStop();
                break;
            case 0x1e: // PREVENT ALLOW MEDIUM REMOVAL
                _isLocked = (_packet[4] & 1) != 0;
                CompletePacket();
                break;
            case 0x25: // READ CAPACITY
                Reply(Capacity(), 8);
                break;
            case 0x28: // READ (10)
                BeginRead(Double(2), Word(7));
                break;
            case 0xa8: // READ (12)
                BeginRead(Double(2), Double(6));
                break;
            case 0xbe: // READ CD
                BeginReadCd();
                break;
            case 0x2b: // SEEK (10)
                if (Double(2) < Blocks) CompletePacket();
                else Fail(SenseCode.OutOfRange);
                break;
            case 0x42: // READ SUB-CHANNEL
                ReadSubChannel();
                break;
            case 0x43: // READ TOC/PMA/ATIP
                ReadToc();
                break;
            case 0x46: // GET CONFIGURATION
                GetConfiguration();
                break;
            case 0x4a: // GET EVENT STATUS NOTIFICATION
                GetEvent();
                break;
            case 0x51: // READ DISC INFORMATION
                Reply(DiscInformation(), Word(7));
                break;
            case 0xbd: // MECHANISM STATUS
                Reply(new byte[8], Word(8));
                break;
            case 0x0a or 0x2a or 0x2e or 0xaa or 0x04 or 0xa1: // WRITE, WRITE AND VERIFY, FORMAT UNIT, BLANK
                Fail(SenseCode.WriteProtected);
                break;
            default:
                Fail(SenseCode.InvalidCommand);
                break;
        }
    }

    private static bool NeedsMedium(byte operation) => operation is
        0x00 or 0x25 or 0x28 or 0x2b or 0x2f or 0x42 or 0x43 or 0x51 or 0xa8 or 0xbe or 0x0a or 0x2a or 0x2e or 0xaa or 0x04 or 0xa1;

    private void StartStop()
    {
        bool loads = (_packet[4] & 2) != 0;
        bool starts = (_packet[4] & 1) != 0;
        if (loads && !starts && _isLocked)
        {
            Fail(SenseCode.RemovalPrevented);
            return;
        }

        if (loads && _isOpen == starts)
        {
            _isOpen = !starts;
            if (Drive.Medium is not null)
            {
                _changed = starts;
                _event = starts ? MediaEvent.NewMedia : MediaEvent.MediaRemoval;
            }
        }

        CompletePacket();
    }

    /// <summary>Sees whether the host has changed the medium.</summary>
    private void NoteChanges()
    {
        if (Drive.MediumChanges == _seenChanges) return;
        _seenChanges = Drive.MediumChanges;
        _isOpen = false;
        _changed = Drive.Medium is not null;
        _event = _changed ? MediaEvent.NewMedia : MediaEvent.MediaRemoval;
    }

    private SenseCode? TakeAttention()
    {
        if (_poweredOn)
        {
            _poweredOn = false;
            return SenseCode.PowerOn;
        }

        if (!_changed) return null;
        _changed = false;
        return SenseCode.MediumChanged;
    }

    private void BeginRead(long block, long count)
    {
        if (block > Blocks - count)
        {
            Fail(SenseCode.OutOfRange);
            return;
        }

        _block = block;
        _remaining = (int)count;
        ReadNext(isRaw: false);
    }

    private void BeginReadCd()
    {
        const int UserDataOnly = 0x10, WholeSector = 0xf8, Parts = 0xf8;
        long block = Double(2);
        int count = (_packet[6] << 16) | Word(7);
        int parts = _packet[9] & Parts;
        if (parts != 0 && parts != UserDataOnly && parts != WholeSector)
        {
            Fail(SenseCode.InvalidField);
            return;
        }

        if (block > Blocks - count)
        {
            Fail(SenseCode.OutOfRange);
            return;
        }

        _block = block;
        _remaining = parts == 0 ? 0 : count;
        ReadNext(isRaw: parts == WholeSector);
    }

    private void ReadNext(bool isRaw)
    {
        if (_remaining == 0)
        {
            CompletePacket();
            return;
        }

        int unit = isRaw ? RawBytes : BlockBytes;
        int blocks = Math.Min(_remaining, ChunkBytes / unit);
        Memory<byte> buffer = Buffer(blocks * unit);
        // Raw sectors are spread out from the buffer's end.
        Memory<byte> read = buffer[^(blocks * BlockBytes)..];
        Submit(BlockOperation.Read, _block * BlockBytes, read.Length, read, status =>
        {
            if (status != BlockStatus.Done)
            {
                Fail(status switch
                {
                    BlockStatus.NoMedium => SenseCode.NoMedium,
                    BlockStatus.OutOfRange => SenseCode.OutOfRange,
                    _ => SenseCode.ReadError,
                });
                return;
            }

            if (isRaw) SpreadRaw(buffer.Span, blocks);
            _block += blocks;
            _remaining -= blocks;
            SendData(buffer, () => ReadNext(isRaw));
        });
    }

    /// <summary>Makes whole sectors of mode 1 of user data: synchronisation, header and data; the error correction is left zero.</summary>
    private void SpreadRaw(Span<byte> buffer, int blocks)
    {
        int from = buffer.Length - (blocks * BlockBytes);
        for (int i = 0; i < blocks; i++)
        {
            Span<byte> sector = buffer.Slice(i * RawBytes, RawBytes);
            buffer.Slice(from + (i * BlockBytes), BlockBytes).CopyTo(sector[RawHeaderBytes..]);
            sector[(RawHeaderBytes + BlockBytes)..].Clear();
            sector[..RawHeaderBytes].Fill(0xff);
            sector[0] = sector[11] = 0;
            long frame = _block + i + 150;
            sector[12] = Bcd(frame / 75 / 60);
            sector[13] = Bcd(frame / 75 % 60);
            sector[14] = Bcd(frame % 75);
            sector[15] = 1;
        }
    }

    /// <summary>Sends what a command answers, at most as much as the host allowed.</summary>
    private void Reply(ReadOnlySpan<byte> data, int allocation)
    {
        if (data.Length > allocation) data = data[..allocation];
        if (data.Length == 0)
        {
            CompletePacket();
            return;
        }

        SendData(data.ToArray(), CompletePacket);
    }

    private void SendData(Memory<byte> data, Action done)
    {
        // An odd limit holds only for the last block (ATA/ATAPI-6, 8.23.5).
        int limit = _byteCountLimit == 0 ? 0xfffe : _byteCountLimit;
        if (limit < data.Length) limit = Math.Max(limit & ~1, 2);
        Transport!.Transfer(this, new AtaTransfer(_isDma, ToHost: true, data, limit, IsFirst: false, done, bytes =>
        {
            Registers.SectorCount = IsToHost;
            Registers.ByteCount = (ushort)bytes;
        }));
    }

    private void CompletePacket()
    {
        Registers.SectorCount = IsToHost | IsCommand;
        Complete();
    }

    private void Fail(SenseCode sense)
    {
        SetSense(sense);
        Registers.SectorCount = IsToHost | IsCommand;
        Fail((byte)(sense.Key << 4));
    }

    private void SetSense(SenseCode sense) => (_key, _code, _qualifier) = (sense.Key, sense.Code, sense.Qualifier);

    private int Word(int at) => BinaryPrimitives.ReadUInt16BigEndian(_packet.AsSpan(at));

    private uint Double(int at) => BinaryPrimitives.ReadUInt32BigEndian(_packet.AsSpan(at));

    private static byte Bcd(long value) => (byte)(((value / 10 % 10) << 4) | (value % 10));
}
