using Ringfence.Devices;

namespace Ringfence.Firmware.Bios;

/// <summary>INT 15h: the machine (IBM PS/2 and PC BIOS Interface Technical Reference; ACPI specification, "System Address Map Interfaces").</summary>
/// <param name="machine">The machine.</param>
/// <param name="mouse">The mouse.</param>
internal sealed class BiosSystem(FirmwareMachine machine, BiosMouse mouse)
{
    private const byte NoSuchFunction = 0x86;
    private const int PortA = 0x92;
    private const ulong OneMiB = 1 << 20;
    private const ulong SixteenMiB = 16 << 20;

    private long _waitUntil;

    /// <summary>Visits the state.</summary>
    public void DescribeState(IStateVisitor visitor) => visitor.Field("wait_until", ref _waitUntil);

    /// <summary>INT 15h.</summary>
    public bool Serve(ServiceFrame f)
    {
        switch (f.Ah)
        {
            case 0x24:
                return ServeA20(f);
            case 0x4f:
                f.Carry = true;
                return true;
            case 0x41 or 0x80 or 0x81 or 0x82 or 0x85 or 0x90 or 0x91:
                f.Ah = 0;
                f.Carry = false;
                return true;
            case 0x53:
                // There is no APM.
                f.Ah = NoSuchFunction;
                f.Carry = true;
                return true;
            case 0x86:
                Wait(f);
                return true;
            case 0x87:
                MoveBlock(f);
                return true;
            case 0x88:
                f.Ax = (ushort)Math.Min((machine.Platform.LowRamEnd - Math.Min(OneMiB, machine.Platform.LowRamEnd)) >> 10, 0xfc00);
                f.Carry = false;
                return true;
            case 0xc0:
                f.Es = BiosImage.Segment;
                f.Bx = BiosImage.ConfigurationTable;
                f.Ah = 0;
                f.Carry = false;
                return true;
            case 0xc1:
                f.Es = machine.Read16(BiosData.ExtensionSegment);
                f.Carry = false;
                return true;
            case 0xc2:
                return mouse.Serve(f);
            case 0xe8:
                return ServeMemory(f);
            default:
                f.Ah = NoSuchFunction;
                f.Carry = true;
                return false;
        }
    }

    private bool ServeA20(ServiceFrame f)
    {
        byte port = machine.In8(PortA);
        f.Carry = false;
        switch (f.Al)
        {
            case 0x00 or 0x01:
                machine.Out8(PortA, (port & ~3) | (f.Al << 1));
                break;
            case 0x02:
                f.Al = (byte)((port >> 1) & 1);
                break;
            case 0x03:
                f.Bx = 3;
                break;
            default:
                f.Ah = NoSuchFunction;
                f.Carry = true;
                return false;
        }

        f.Ah = 0;
        return true;
    }

    private void Wait(ServiceFrame f)
    {
        long now = machine.Platform.Now;
        if (f.Step == 0)
        {
            f.Step = 1;
            _waitUntil = now + ((((long)f.Cx << 16) | f.Dx) * 1000);
        }

        const long Tick = 55_000_000;
        f.Carry = false;
        if (now >= _waitUntil) return;

        // A timer tick may be late by itself: the last part is waited for without sleep.
        f.Answer = _waitUntil - now > 2 * Tick ? ServiceAnswer.Halt : ServiceAnswer.Again;
    }

    /// <summary>Function 87h: a copy between addresses that real mode does not reach.</summary>
    private void MoveBlock(ServiceFrame f)
    {
        const int MostWords = 0x8000;
        const byte Failed = 1;
        ulong table = ServiceFrame.Address(f.Es, f.Si);
        if (f.Cx > MostWords)
        {
            f.Ah = Failed;
            f.Carry = true;
            return;
        }

        byte gate = machine.In8(PortA);
        machine.Out8(PortA, (gate | 2) & ~1);
        byte[] data = new byte[2 * f.Cx];
        machine.Read(Base(table + 0x10), data);
        machine.Write(Base(table + 0x18), data);
        machine.Out8(PortA, gate & ~1);
        f.Ah = 0;
        f.Carry = false;
        f.Zero = true;
    }

    private uint Base(ulong descriptor) => (machine.Read32(descriptor + 2) & 0xff_ffff) | ((uint)machine.Read8(descriptor + 7) << 24);

    private bool ServeMemory(ServiceFrame f)
    {
        switch (f.Al)
        {
            case 0x01:
                ulong low = machine.Platform.LowRamEnd;
                ushort below16 = (ushort)((Math.Min(low, SixteenMiB) - OneMiB) >> 10);
                ushort above16 = (ushort)Math.Min((Math.Max(low, SixteenMiB) - SixteenMiB) >> 16, 0xffff);
                f.Ax = f.Cx = below16;
                f.Bx = f.Dx = above16;
                f.Carry = false;
                return true;
            case 0x20:
                ReportRange(f);
                return true;
            case 0x81:
                ulong lowEnd = machine.Platform.LowRamEnd;
                f.Eax = f.Ecx = (uint)((Math.Min(lowEnd, SixteenMiB) - OneMiB) >> 10);
                f.Ebx = f.Edx = (uint)((Math.Max(lowEnd, SixteenMiB) - SixteenMiB) >> 16);
                f.Carry = false;
                return true;
            default:
                f.Ah = NoSuchFunction;
                f.Carry = true;
                return false;
        }
    }

    private void ReportRange(ServiceFrame f)
    {
        const uint Signature = 0x534d_4150; // "SMAP"
        const int EntryBytes = 20;
        IReadOnlyList<E820Entry> map = machine.Platform.MemoryMap;
        if (f.Edx != Signature || f.Ecx < EntryBytes || f.Ebx >= (uint)map.Count)
        {
            f.Ah = NoSuchFunction;
            f.Carry = true;
            return;
        }

        E820Entry entry = map[(int)f.Ebx];
        Span<byte> data = stackalloc byte[EntryBytes];
        BitConverter.TryWriteBytes(data, entry.Start);
        BitConverter.TryWriteBytes(data[8..], entry.Length);
        BitConverter.TryWriteBytes(data[16..], (uint)entry.Type);
        machine.Write(ServiceFrame.Address(f.Es, f.Di), data);
        f.Eax = Signature;
        f.Ecx = EntryBytes;
        f.Ebx = f.Ebx + 1 < (uint)map.Count ? f.Ebx + 1 : 0;
        f.Carry = false;
    }
}
