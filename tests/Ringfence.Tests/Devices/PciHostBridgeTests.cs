using Ringfence.Devices;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices;

public class PciHostBridgeTests
{
    private readonly List<string> _log = [];
    private readonly PciHostBridge _bridge;

    public PciHostBridgeTests() => _bridge = new PciHostBridge(new ResetControl(new A20Gate(_ => { }), () => _log.Add("reset")));

    [Fact]
    public void Mechanism_1_is_found_by_its_address_register()
    {
        _bridge.Write32(0, 0x8000_0000);
        _bridge.Read32(0).ShouldBe(0x8000_0000u);
        _bridge.Write32(0, 0xffff_ffff);
        _bridge.Read32(0).ShouldBe(0x80ff_fffcu);
    }

    [Fact]
    public void The_bus_has_host_bridge_isa_bridge_and_power_management_and_nothing_else()
    {
        List<string> found = [];
        for (int device = 0; device < 32; device++)
        {
            for (int function = 0; function < 8; function++)
            {
                uint id = Read(device, function, 0);
                if (id != uint.MaxValue) found.Add($"{device}.{function} {id:x8} {Read(device, function, 8) >> 8:x6}");
            }
        }

        found.ShouldBe(["0.0 12378086 060000", "1.0 70008086 060100", "1.3 71138086 068000"]);
        (Read(1, 0, 0x0c) >> 16 & 0x80).ShouldBe(0x80u);
    }

    [Fact]
    public void Narrow_accesses_see_their_bytes()
    {
        Select(1, 0, 0);
        _bridge.Read16(4).ShouldBe((ushort)0x8086);
        _bridge.Read16(6).ShouldBe((ushort)0x7000);
        _bridge.Read8(7).ShouldBe((byte)0x70);
    }

    [Fact]
    public void Without_the_enable_bit_there_is_no_configuration_space()
    {
        _bridge.Write32(0, 0);
        _bridge.Read32(4).ShouldBe(0xffff_ffffu);
    }

    [Fact]
    public void Another_bus_is_empty()
    {
        _bridge.Write32(0, 0x8001_0000);
        _bridge.Read32(4).ShouldBe(0xffff_ffffu);
    }

    [Fact]
    public void Identification_is_read_only()
    {
        Select(0, 0, 0);
        _bridge.Write32(4, 0);
        _bridge.Read32(4).ShouldBe(0x1237_8086u);
    }

    [Fact]
    public void A_base_address_register_tells_its_size()
    {
        PciFunction function = new("test", 0x1af4, 0x1000, 0x02_0000);
        function.DefineBar(0, 0x100, PciBarKind.Io);
        function.DefineBar(1, 0x1000, PciBarKind.Memory);
        _bridge.Bus.Add(5, 0, function);
        Select(5, 0, 0x10);
        _bridge.Write32(4, 0xffff_ffff);
        _bridge.Read32(4).ShouldBe(0xffff_ff01u);
        _bridge.Write32(4, 0x0000_c000);
        function.BarAddress(0).ShouldBe(0xc000UL);
        Select(5, 0, 0x14);
        _bridge.Write32(4, 0xffff_ffff);
        _bridge.Read32(4).ShouldBe(0xffff_f000u);
        Select(5, 0, 0x18);
        _bridge.Write32(4, 0xffff_ffff);
        _bridge.Read32(4).ShouldBe(0u);
        Select(5, 0, 0x04);
        _bridge.Write16(4, 0x0003);
        function.IoEnabled.ShouldBeTrue();
        function.MemoryEnabled.ShouldBeTrue();
        function.BusMasterEnabled.ShouldBeFalse();
    }

    [Fact]
    public void A_place_on_the_bus_is_taken_once()
    {
        Should.Throw<InvalidOperationException>(() => _bridge.Bus.Add(1, 0, new PciFunction("test", 1, 1, 0)));
    }

    [Fact]
    public void A_byte_at_cf9_is_the_reset_register_and_a_dword_at_cf8_is_not()
    {
        _bridge.Write32(0, 0x8000_0600);
        _log.ShouldBeEmpty();
        _bridge.Write8(1, 0x02);
        _log.ShouldBeEmpty();
        _bridge.Write8(1, 0x06);
        _log.ShouldBe(["reset"]);
        _bridge.Read8(1).ShouldBe((byte)0x06);
    }

    private void Select(int device, int function, int register) =>
        _bridge.Write32(0, 0x8000_0000 | ((uint)device << 11) | ((uint)function << 8) | (uint)register);

    private uint Read(int device, int function, int register)
    {
        Select(device, function, register);
        return _bridge.Read32(4);
    }
}
