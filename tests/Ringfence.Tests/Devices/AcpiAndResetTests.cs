using Ringfence.Devices;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices;

public class AcpiAndResetTests
{
    private readonly FakeClock _clock = new();
    private readonly List<string> _log = [];
    private readonly AcpiPowerManagement _acpi;
    private bool _sci;

    public AcpiAndResetTests() => _acpi = new AcpiPowerManagement(_clock, new InterruptLine(level => _sci = level), () => _log.Add("off"));

    [Fact]
    public void The_power_management_timer_counts_at_its_rate()
    {
        uint before = _acpi.Read32(8);
        _clock.Advance(TickMath.Second);
        (_acpi.Read32(8) - before).ShouldBe(3_579_545u);
    }

    [Fact]
    public void Sleep_type_5_with_sleep_enable_is_soft_off_and_others_are_not()
    {
        _acpi.Write16(4, 0x2000 | (1 << 10));
        _log.ShouldBeEmpty();
        _acpi.MisuseCount.ShouldBe(1ul);
        _acpi.Write16(4, (5 << 10) | 1);
        _log.ShouldBeEmpty();
        _acpi.Write16(4, 0x2000 | (5 << 10) | 1);
        _log.ShouldBe(["off"]);
        _acpi.Read16(4).ShouldBe((ushort)((5 << 10) | 1));
    }

    [Fact]
    public void The_smi_command_turns_acpi_on_and_off()
    {
        _acpi.CommandPorts.Write8(0, AcpiPowerManagement.EnableAcpi);
        (_acpi.Read16(4) & 1).ShouldBe(1);
        _acpi.CommandPorts.Write8(0, AcpiPowerManagement.DisableAcpi);
        (_acpi.Read16(4) & 1).ShouldBe(0);
    }

    [Fact]
    public void The_power_button_interrupts_until_its_status_is_cleared()
    {
        _acpi.Write16(2, 0x0100);
        _acpi.PressPowerButton();
        _sci.ShouldBeFalse();
        _acpi.Enable();
        _sci.ShouldBeTrue();
        _acpi.Read16(0).ShouldBe((ushort)0x0100);
        _acpi.Write16(0, 0x0100);
        _sci.ShouldBeFalse();
    }

    [Fact]
    public void The_timers_carry_interrupts_when_enabled()
    {
        _acpi.Enable();
        _acpi.Write16(2, 0x0001);
        _clock.Advance(599L * TickMath.Second);
        _sci.ShouldBeFalse();
        _clock.Advance(2L * TickMath.Second);
        _sci.ShouldBeTrue();
        _acpi.Write16(0, 0x0001);
        _sci.ShouldBeFalse();
    }

    [Fact]
    public void A_general_purpose_event_interrupts_when_enabled()
    {
        _acpi.Enable();
        _acpi.RaiseGeneralPurposeEvent(3);
        _sci.ShouldBeFalse();
        _acpi.Write16(14, 0x0008);
        _sci.ShouldBeTrue();
        _acpi.Write16(12, 0x0008);
        _sci.ShouldBeFalse();
    }

    [Fact]
    public void Port_92h_drives_a20_and_resets_on_a_rising_bit_0()
    {
        A20Gate a20 = new(enabled => _log.Add($"a20 {enabled}"));
        ResetControl reset = new(a20, () => _log.Add("reset"));
        reset.Read8(0).ShouldBe((byte)0x02);
        reset.Write8(0, 0x00);
        reset.Write8(0, 0x02);
        reset.Write8(0, 0x03);
        reset.Write8(0, 0x03);
        _log.ShouldBe(["a20 False", "a20 True", "reset"]);
    }

    [Fact]
    public void The_debug_exit_code_is_odd()
    {
        List<int> codes = [];
        DebugExit exit = new(codes.Add);
        exit.Write8(0, 0x10);
        exit.Write32(0, 0x11);
        exit.Write8(1, 0x12);
        codes.ShouldBe([0x21, 0x23]);
    }

    [Fact]
    public void The_debug_console_writes_and_can_be_found()
    {
        List<byte> output = [];
        DebugConsole console = new(output.Add);
        console.Write8(0, 'x');
        output.ShouldBe([(byte)'x']);
        console.Read8(0).ShouldBe((byte)0xe9);
    }
}
