using Ringfence.Devices;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices;

public class HostileGuestTests
{
    private const int Accesses = 20_000;

    public static TheoryData<string, int> Devices()
    {
        TheoryData<string, int> data = [];
        foreach (string name in All(new FakeClock()).Keys)
            for (int seed = 1; seed <= 3; seed++) data.Add(name, seed);
        return data;
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Random_accesses_of_every_width_neither_throw_nor_flood_the_clock(string name, int seed)
    {
        FakeClock clock = new();
        (IBusDevice device, int length) = All(clock)[name];
        Random random = new(seed);
        byte[] data = new byte[16];
        long elapsed = 0;
        for (int i = 0; i < Accesses; i++)
        {
            // The accesses the buses make: anything inside the range.
            int size = Math.Min(length, 1 + random.Next(random.Next(4) == 0 ? 16 : 4));
            int offset = random.Next(length - size + 1);
            if (length > 64 && random.Next(2) == 0) offset = Math.Min(offset & ~15, length - size);
            random.NextBytes(data);
            if (random.Next(3) == 0) device.Read((ulong)offset, data.AsSpan(0, size));
            else device.Write((ulong)offset, data.AsSpan(0, size));
            if (random.Next(8) != 0) continue;
            long step = random.Next(20) == 0 ? random.NextInt64(1_000_000) : random.Next(3_000);
            elapsed += step;
            clock.Advance(step);
        }

        clock.Fired.ShouldBeLessThan((int)(elapsed / TickMath.LeastDelay * 6) + Accesses);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Random_msrs_of_the_local_apic_do_not_throw(int seed)
    {
        FakeClock clock = new();
        ApicBus bus = new();
        _ = new IoApic(bus);
        LocalApic[] apics = [.. Enumerable.Range(0, 3).Select(i => new LocalApic(i, clock, bus, () => (ulong)clock.Now, 1_000_000_000))];
        Random random = new(seed);
        int accepted = 0;
        for (int i = 0; i < Accesses; i++)
        {
            LocalApic apic = apics[random.Next(3)];
            uint msr = random.Next(20) switch
            {
                0 => LocalApic.ApicBaseMsr,
                1 => LocalApic.TscDeadlineMsr,
                _ => 0x800 + (uint)random.Next(0x100),
            };
            ulong value = msr == LocalApic.ApicBaseMsr ? 0xfee0_0000 | (ulong)random.Next(16) << 8 : (ulong)random.NextInt64() >> random.Next(64);
            if (apic.TryWriteMsr(msr, value)) accepted++;
            if (apic.TryReadMsr(msr, out _)) accepted++;
            apic.AcknowledgeInterrupt();
            clock.Advance(random.Next(2_000));
        }

        accepted.ShouldBeGreaterThan(100);
    }

    [Fact]
    public void Any_saved_state_of_random_bytes_can_be_restored_and_used()
    {
        Random random = new(7);
        for (int round = 0; round < 50; round++)
        {
            FakeClock clock = new();
            foreach ((string name, (IBusDevice device, int length)) in All(clock))
            {
                if (device is not IStateful part) continue;
                Dictionary<string, byte[]> fields = StateRecorder.Save(part);
                foreach (byte[] field in fields.Values) random.NextBytes(field);
                StateRecorder.Restore(part, fields);
                byte[] data = new byte[4];
                for (int i = 0; i < 64; i++)
                {
                    int size = Math.Min(length, 4);
                    device.Read((ulong)random.Next(length - size + 1), data.AsSpan(0, size));
                }
            }
        }
    }

    private static Dictionary<string, (IBusDevice Device, int Length)> All(FakeClock clock)
    {
        InterruptLine intr = new(_ => { });
        DualPic pic = new(intr);
        ApicBus bus = new();
        IoApic ioApic = new(bus);
        LocalApic apic = new(0, clock, bus, () => (ulong)clock.Now * 3, 3_000_000_000) { AcknowledgeExternal = pic.Acknowledge };
        apic.EnterVirtualWireMode();
        apic.InterruptPendingChanged += pending =>
        {
            if (pending) apic.AcknowledgeInterrupt();
        };
        A20Gate a20 = new(_ => { });
        ResetControl reset = new(a20, () => { });
        IntervalTimer8254 pit = new(clock, pic.Input(0));
        RealTimeClock rtc = new(clock, pic.Input(8), 1 << 30, 0);
        AcpiPowerManagement acpi = new(clock, ioApic.Input(9), () => { });
        KeyboardController8042 keyboard = new(pic.Input(1), pic.Input(12), a20, () => { });
        SerialPort16550A? serial = null;
        serial = new SerialPort16550A("com1", clock, pic.Input(4), _ => { }, () => serial!.Receive("endless input"u8));
        return new Dictionary<string, (IBusDevice, int)>
        {
            ["pic-master"] = (pic.Master, 2),
            ["pic-slave"] = (pic.Slave, 2),
            ["pic-elcr"] = (pic.EdgeLevelControl, 2),
            ["pit"] = (pit, 4),
            ["port-61"] = (pit.ControlPort, 1),
            ["rtc"] = (rtc, 2),
            ["serial"] = (serial, 8),
            ["keyboard-data"] = (keyboard.DataPort, 1),
            ["keyboard-command"] = (keyboard.CommandPort, 1),
            ["lapic"] = (apic, 4096),
            ["ioapic"] = (ioApic, 4096),
            ["pci"] = (new PciHostBridge(reset), 8),
            ["reset"] = (reset, 1),
            ["acpi"] = (acpi, AcpiPowerManagement.PortLength),
            ["smi-command"] = (acpi.CommandPorts, 2),
            ["debug-exit"] = (new DebugExit(_ => { }), 4),
            ["debug-console"] = (new DebugConsole(_ => { }), 1),
            ["post-code"] = (new PostCode(), 1),
        };
    }
}
