using System.Buffers.Binary;

namespace Ringfence.Devices;

/// <summary>
/// An I/O APIC (Intel 82093AA data sheet; version 20h, with the EOI register). Sends a message for each edge of an edge-triggered
/// pin and, until its end of interrupt, one for a level-triggered pin that is high. The polarity bit is kept and ignored: lines are
/// active high inside this machine.
/// </summary>
internal sealed class IoApic : IBusDevice, IStateful, IResettable
{
    /// <summary>Physical address of the registers.</summary>
    public const ulong Address = 0xfec0_0000;

    /// <summary>Bytes of the registers.</summary>
    public const ulong Length = 0x1000;

    /// <summary>Number of pins.</summary>
    public const int Pins = 24;

    private const uint Version = 0x20 | ((Pins - 1) << 16);
    private const int Select = 0x00;
    private const int Window = 0x10;
    private const int EndOfInterruptRegister = 0x40;
    private const ulong Masked = 1 << 16;
    private const ulong LevelTriggered = 1 << 15;
    private const ulong RemoteIrr = 1 << 14;
    private const ulong ReadOnly = RemoteIrr | (1 << 12);
    private const ulong Writable = 0xff00_0000_0001_afff;

    private readonly ApicBus _bus;
    private readonly WiredOr[] _inputs = new WiredOr[Pins];
    private readonly ulong[] _redirection = new ulong[Pins];
    private uint _levels;
    private byte _select;
    private uint _id;

    /// <summary>Makes the I/O APIC with all pins masked and adds it to the bus.</summary>
    public IoApic(ApicBus bus)
    {
        _bus = bus;
        for (int i = 0; i < Pins; i++)
        {
            int pin = i;
            _inputs[i] = new WiredOr(level => SetInput(pin, level));
        }

        bus.Add(this);
        Reset();
    }

    /// <inheritdoc/>
    public string StateName => "ioapic";

    /// <inheritdoc/>
    public int StateVersion => 1;

    /// <summary>Accesses that no correct driver makes.</summary>
    public ulong MisuseCount { get; private set; }

    /// <summary>Can a pin send something that RFLAGS.IF does not hold back (NMI, INIT)?</summary>
    public bool HasNonMaskableInput => Array.Exists(_redirection, entry => (entry & Masked) == 0
        && (ApicDeliveryMode)((entry >> 8) & 7) is ApicDeliveryMode.Nmi or ApicDeliveryMode.Init);

    /// <summary>Makes a line that drives a pin, 0 to 23; several lines on one pin are ORed.</summary>
    public InterruptLine Input(int pin) => _inputs[pin].AddLine();

    /// <summary>A local APIC has handled a level-triggered interrupt.</summary>
    public void EndOfInterrupt(byte vector)
    {
        for (int i = 0; i < Pins; i++)
        {
            ulong entry = _redirection[i];
            if ((entry & RemoteIrr) == 0 || (byte)entry != vector) continue;
            _redirection[i] = entry & ~RemoteIrr;
            ServeLevel(i);
        }
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _redirection.AsSpan().Fill(Masked);
        _select = 0;
        _id = 0;
    }

    /// <inheritdoc/>
    public void Read(ulong offset, Span<byte> data)
    {
        uint value = (offset & ~3UL) switch
        {
            Select => _select,
            Window => ReadRegister(),
            _ => 0,
        };
        for (int i = 0; i < data.Length; i++)
        {
            int at = (int)(offset & 3) + i;
            data[i] = at < 4 ? (byte)(value >> (8 * at)) : (byte)0;
        }
    }

    /// <inheritdoc/>
    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (offset == Select)
        {
            _select = data[0];
            return;
        }

        if (offset == EndOfInterruptRegister)
        {
            EndOfInterrupt(data[0]);
            return;
        }

        if (offset != Window || data.Length < 4)
        {
            MisuseCount++;
            return;
        }

        WriteRegister(BinaryPrimitives.ReadUInt32LittleEndian(data));
    }

    /// <inheritdoc/>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Field("select", ref _select);
        visitor.Field("id", ref _id);
        visitor.Field("levels", ref _levels);
        for (int i = 0; i < Pins; i++) visitor.Field($"redirection{i}", ref _redirection[i]);
    }

    private uint ReadRegister()
    {
        switch (_select)
        {
            case 0:
            case 2:
                return _id;
            case 1:
                return Version;
            case >= 0x10 and < 0x10 + (2 * Pins):
                ulong entry = _redirection[(_select - 0x10) >> 1];
                return (uint)((_select & 1) == 0 ? entry : entry >> 32);
            default:
                return 0;
        }
    }

    private void WriteRegister(uint value)
    {
        if (_select == 0)
        {
            _id = value & 0x0f00_0000;
            return;
        }

        if (_select is < 0x10 or >= 0x10 + (2 * Pins))
        {
            MisuseCount++;
            return;
        }

        int pin = (_select - 0x10) >> 1;
        ulong entry = _redirection[pin];
        ulong written = (_select & 1) == 0 ? (entry & ~0xffff_ffffUL) | value : (uint)entry | ((ulong)value << 32);
        entry = (written & Writable) | (entry & ReadOnly);
        if ((entry & LevelTriggered) == 0) entry &= ~RemoteIrr;
        _redirection[pin] = entry;
        ServeLevel(pin);
    }

    private void SetInput(int pin, bool level)
    {
        uint bit = 1u << pin;
        bool rises = level && (_levels & bit) == 0;
        _levels = level ? _levels | bit : _levels & ~bit;
        ulong entry = _redirection[pin];
        if ((entry & LevelTriggered) != 0) ServeLevel(pin);
        else if (rises && (entry & Masked) == 0) Send(entry);
    }

    private void ServeLevel(int pin)
    {
        ulong entry = _redirection[pin];
        if ((entry & (Masked | RemoteIrr | LevelTriggered)) != LevelTriggered || (_levels & (1u << pin)) == 0) return;

        // Only fixed and lowest-priority interrupts have an end that clears the remote IRR. It is set first: the receiver may answer at once.
        bool hasEnd = ((entry >> 8) & 7) <= (ulong)ApicDeliveryMode.LowestPriority;
        if (hasEnd) _redirection[pin] |= RemoteIrr;
        if (!Send(entry) && hasEnd) _redirection[pin] &= ~RemoteIrr;
    }

    private bool Send(ulong entry) => _bus.Deliver(new ApicMessage(
        ApicMessage.Widen((byte)(entry >> 56)),
        (entry & (1 << 11)) != 0,
        (ApicDeliveryMode)((entry >> 8) & 7),
        (byte)entry,
        (entry & LevelTriggered) != 0));
}
