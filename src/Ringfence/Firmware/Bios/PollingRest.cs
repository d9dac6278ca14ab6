using Ringfence.Devices;

namespace Ringfence.Firmware.Bios;

/// <summary>
/// Lets the processor rest where a program does nothing but ask for a key, as boot menus and prompts do for hours. It does nothing else if for two ticks of
/// the timer the same question came again and again from the same place with the same registers, and no device was touched between. A rest ends with the
/// next interrupt. The real-time clock makes one after 4 ms, as it does for INT 15h's waits on other PCs: who computes between two questions,
/// which nobody can see from here, still has 256 turns a second.
/// </summary>
/// <param name="machine">The machine.</param>
internal sealed class PollingRest(FirmwareMachine machine)
{
    private const int PollsOfATick = 64;
    private const int QuietTicks = 2;
    private const int MasterMask = 0x21, SlaveMask = 0xa1, CascadeInput = 0x04, ClockInput = 0x01, ClockInterrupt = 0x70;
    private const int RegisterA = 0x0a, RegisterB = 0x0b, RegisterC = 0x0c;
    private const byte Periodic = 0x40, RateMask = 0x0f, Rate256Hz = 8;

    private readonly byte[] _question = new byte[ServiceFrame.Length];
    private long _accesses;
    private uint _tick;
    private int _polls;
    private int _quietTicks;
    private bool _isResting;
    private byte _registerA;
    private byte _masterMask;
    private byte _slaveMask;

    /// <summary>RESET.</summary>
    public void Reset()
    {
        _isResting = false;
        _quietTicks = 0;
    }

    /// <summary>Visits what a rest has changed. Whether the program is idle is found out anew.</summary>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Field("is_resting", ref _isResting);
        visitor.Field("rest_register_a", ref _registerA);
        visitor.Field("rest_master_mask", ref _masterMask);
        visitor.Field("rest_slave_mask", ref _slaveMask);
    }

    /// <summary>A key was asked for, and there is none.</summary>
    /// <param name="f">The question as it came.</param>
    /// <returns>Whether the processor shall halt; <see cref="End"/> follows when it has.</returns>
    public bool TryBegin(ServiceFrame f)
    {
        long accesses = machine.Platform.DeviceAccesses;
        uint tick = machine.Read32(BiosData.Ticks);
        uint ticks = tick - _tick;

        // The question itself is one access, the end of each tick's interrupt another.
        bool isAlone = accesses - _accesses <= 1 + ticks && IsTheSame(f);
        if (!isAlone) _quietTicks = 0;
        else if (ticks != 0) _quietTicks = _polls >= PollsOfATick ? _quietTicks + 1 : 0;
        if (!isAlone || ticks != 0) _polls = 0;
        _polls++;
        (_accesses, _tick) = (accesses, tick);
        f.Bytes.CopyTo(_question);
        if (_quietTicks < QuietTicks || !StartClock()) return false;
        _isResting = true;
        _polls = PollsOfATick;
        return true;
    }

    /// <summary>The processor has been woken, or does something else. Does nothing unless it rested.</summary>
    public void End()
    {
        if (!_isResting) return;
        _isResting = false;
        machine.WriteCmos(RegisterB, machine.ReadCmos(RegisterB) & ~Periodic);
        machine.WriteCmos(RegisterA, _registerA);
        machine.ReadCmos(RegisterC);
        machine.Out8(SlaveMask, _slaveMask);
        machine.Out8(MasterMask, _masterMask);
        _accesses = machine.Platform.DeviceAccesses;
    }

    // All but the answer's word and the flags.
    private bool IsTheSame(ServiceFrame f) =>
        f.Bytes[..ServiceFrame.AnswerOffset].SequenceEqual(_question.AsSpan(0, ServiceFrame.AnswerOffset)) &&
        f.Cs == (_question[46] | (_question[47] << 8)) && f.Ip == (_question[44] | (_question[45] << 8));

    /// <summary>Periodic interrupts, unless the clock or its vector is a program's.</summary>
    private bool StartClock()
    {
        if (machine.Read32(4 * ClockInterrupt) != (((uint)BiosImage.Segment << 16) | BiosImage.Instance.Vector(ClockInterrupt))) return false;
        byte registerB = machine.ReadCmos(RegisterB);
        if ((registerB & Periodic) != 0) return false;
        _registerA = machine.ReadCmos(RegisterA);
        _masterMask = machine.In8(MasterMask);
        _slaveMask = machine.In8(SlaveMask);
        machine.WriteCmos(RegisterA, (_registerA & ~RateMask) | Rate256Hz);
        machine.ReadCmos(RegisterC);
        machine.WriteCmos(RegisterB, registerB | Periodic);
        machine.Out8(SlaveMask, _slaveMask & ~ClockInput);
        machine.Out8(MasterMask, _masterMask & ~CascadeInput);
        return true;
    }
}
