using Ringfence.Devices;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices;

/// <summary>Local APICs on a bus with an I/O APIC; the time-stamp counter runs at 2 GHz.</summary>
internal sealed class ApicFixture
{
    public const ulong TimestampFrequency = 2_000_000_000;

    public const int TaskPriority = 0x80;
    public const int EndOfInterrupt = 0xb0;
    public const int LogicalDestination = 0xd0;
    public const int DestinationFormat = 0xe0;
    public const int Spurious = 0xf0;
    public const int Errors = 0x280;
    public const int Command = 0x300;
    public const int CommandHigh = 0x310;
    public const int TimerEntry = 0x320;
    public const int Lint0 = 0x350;
    public const int Lint1 = 0x360;
    public const int ErrorEntry = 0x370;
    public const int InitialCount = 0x380;
    public const int CurrentCount = 0x390;
    public const int Divide = 0x3e0;

    public ApicFixture(int processors = 1, bool enable = true)
    {
        Io = new IoApic(Bus);
        for (int i = 0; i < processors; i++)
        {
            int id = i;
            LocalApic apic = new(i, Clock, Bus, () => (ulong)Clock.Now * 2, TimestampFrequency);
            apic.NmiReceived += () => Log.Add($"nmi {id}");
            apic.InitReceived += () => Log.Add($"init {id}");
            apic.StartUpReceived += vector => Log.Add($"sipi {id} {vector:x2}");
            if (enable) apic.Write32(Spurious, 0x1ff);
        }
    }

    public FakeClock Clock { get; } = new();

    public ApicBus Bus { get; } = new();

    public IoApic Io { get; }

    public List<string> Log { get; } = [];

    public LocalApic this[int index] => Bus.LocalApics[index];

    public void Send(int from, int destination, uint command)
    {
        this[from].Write32(CommandHigh, (uint)destination << 24);
        this[from].Write32(Command, command);
    }

    public void Redirect(int pin, ulong entry)
    {
        Io.Write8(0, 0x11 + (2 * pin));
        Io.Write32(0x10, (uint)(entry >> 32));
        Io.Write8(0, 0x10 + (2 * pin));
        Io.Write32(0x10, (uint)entry);
    }

    public uint ReadIo(int register)
    {
        Io.Write8(0, register);
        return Io.Read32(0x10);
    }
}
