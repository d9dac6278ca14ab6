namespace Ringfence.Devices.Storage;

/// <summary>
/// A device that understands ATA commands, whatever it hangs on: what disks and packet devices have in common. Commands end asynchronously;
/// until then BSY is set. A reset forgets the command under way. Used under the machine lock.
/// </summary>
/// <param name="drive">Where the data is.</param>
internal abstract class AtaDevice(BlockDrive drive)
{
    /// <summary>Bytes of a sector of ATA.</summary>
    protected const int SectorBytes = 512;

    /// <summary>The most that one request to the drive moves.</summary>
    protected const int ChunkBytes = 512 << 10;

    private byte[] _buffer = [];
    private int _generation;
    private int _requests;

    /// <summary>The registers of the command block.</summary>
    public AtaRegisters Registers { get; } = new();

    /// <summary>Where the data is.</summary>
    public BlockDrive Drive => drive;

    /// <summary>Commands that were aborted.</summary>
    public ulong AbortedCommands { get; private set; }

    /// <summary>Connects the device to what it hangs on.</summary>
    public IAtaTransport? Transport { protected get; set; }

    /// <summary>The type and its state, as LBA mid and LBA high say it after a reset (ATA/ATAPI-6, 9.12).</summary>
    public abstract ushort Signature { get; }

    /// <summary>Does a command wait for the drive?</summary>
    public bool IsWaiting => _requests > 0;

    /// <summary>Begins a command.</summary>
    public void Execute(byte command)
    {
        Registers.Status = AtaStatus.Idle | AtaStatus.Busy;
        Registers.Error = 0;
        OnCommand(command);
    }

    /// <summary>Takes the device to its state after a reset.</summary>
    /// <param name="hardware">By the RESET line or power; otherwise by software.</param>
    public virtual void Reset(bool hardware)
    {
        Forget();
        Registers.Device = 0;
        SetSignature();
    }

    /// <summary>Forgets the command under way.</summary>
    public void Forget()
    {
        _generation++;
        if (_requests == 0) return;
        // The request may still be using the buffer.
        _buffer = [];
        _requests = 0;
        drive.Cancel();
    }

    /// <summary>Puts what a reset leaves into the registers (ATA/ATAPI-6, 9.12).</summary>
    public virtual void SetSignature()
    {
        Registers.SectorCount = 1;
        Registers.LbaLow = 1;
        Registers.ByteCount = Signature;
        Registers.Error = AtaError.DiagnosticsPassed;
        Registers.Status = AtaStatus.Idle;
    }

    /// <summary>Visits what the device remembers between commands.</summary>
    public abstract void DescribeState(IStateVisitor visitor, string name);

    /// <summary>Carries out a command whose parameters are in the registers.</summary>
    protected abstract void OnCommand(byte command);

    /// <summary>Room for data, until it is asked for again.</summary>
    protected Memory<byte> Buffer(int length)
    {
        if (_buffer.Length < length) _buffer = new byte[length];
        return _buffer.AsMemory(0, length);
    }

    /// <summary>Begins a request to the drive.</summary>
    protected void Submit(BlockOperation operation, long offset, long length, Memory<byte> buffer, Action<BlockStatus> completed)
    {
        int generation = _generation;
        _requests++;
        drive.Submit(new BlockRequest(operation, offset, length, buffer, status =>
        {
            if (generation != _generation) return;
            _requests--;
            completed(status);
        }));
    }

    /// <summary>Sends a block of data by PIO and ends the command.</summary>
    protected void Send(byte[] data) =>
        Transport!.Transfer(this, new AtaTransfer(IsDma: false, ToHost: true, data, data.Length, IsFirst: false, () => Complete(interrupt: false)));

    /// <summary>Ends a command that did what it was told.</summary>
    protected void Complete(bool interrupt = true)
    {
        Registers.Status = AtaStatus.Idle;
        Transport!.Complete(this, interrupt);
    }

    /// <summary>Ends a command with an error.</summary>
    protected void Fail(byte error, byte status = 0)
    {
        if (error == AtaError.Aborted) AbortedCommands++;
        Registers.Error = error;
        Registers.Status = (byte)(AtaStatus.Idle | AtaStatus.Error | status);
        Transport!.Complete(this, interrupt: true);
    }

    /// <summary>Ends a command that the device does not know or that cannot be carried out.</summary>
    protected void Abort() => Fail(AtaError.Aborted);
}
