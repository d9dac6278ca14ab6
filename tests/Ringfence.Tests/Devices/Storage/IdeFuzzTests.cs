using Ringfence.Devices;
using Ringfence.Devices.Storage;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Devices.Storage;

public class IdeFuzzTests
{
    private const int Programs = 2_000;
    private const int Accesses = 120;

    private static readonly byte[] Commands =
    [
        0x00, 0x06, 0x08, 0x10, 0x20, 0x24, 0x25, 0x27, 0x29, 0x30, 0x34, 0x35, 0x39, 0x3d, 0x40, 0x42, 0x70, 0x90, 0x91, 0xa0, 0xa1, 0xc4, 0xc5, 0xc6, 0xc8, 0xca,
        0xce, 0xe0, 0xe1, 0xe5, 0xe6, 0xe7, 0xea, 0xec, 0xef, 0xf8,
    ];

    private static readonly byte[] Operations = [0x00, 0x03, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2a, 0x2b, 0x42, 0x43, 0x46, 0x4a, 0x51, 0x5a, 0xa8, 0xbd, 0xbe];

    [Fact]
    public void Random_programs_neither_throw_nor_hang_nor_leave_the_medium()
    {
        Random random = new(1);
        for (int program = 0; program < Programs; program++)
        {
            IdeBench bench = new(isReadOnly: random.Next(8) == 0);
            random.NextBytes(bench.Memory.Data.AsSpan((int)IdeBench.Table, 4096));
            for (int i = 0; i < Accesses; i++) Step(bench, random);
            bench.DiskDrive.Run();
            bench.DiscDrive.Run();
            bench.Controller.Reset();
            bench.Ports.Read8(7).ShouldBe(AtaStatus.Idle);
        }
    }

    private static void Step(IdeBench bench, Random random)
    {
        IBusDevice ports = random.Next(2) == 0 ? bench.Ports : bench.CdPorts;
        byte[] data = new byte[4];
        random.NextBytes(data);
        switch (random.Next(16))
        {
            case 0:
                bench.DiskDrive.Run();
                bench.DiscDrive.Run();
                break;
            case 1:
                bench.BusMaster.Write8((ulong)(random.Next(2) * 8), random.Next(16));
                break;
            case 2:
                bench.BusMaster.Write32((ulong)(random.Next(2) * 8) + 4, random.Next(3) == 0 ? (uint)random.Next() : IdeBench.Table + ((uint)random.Next(256) * 4));
                break;
            case 3:
                bench.BusMaster.Write((ulong)random.Next(13), data);
                bench.BusMaster.Read((ulong)random.Next(13), data);
                break;
            case 4:
                (random.Next(2) == 0 ? bench.Control : bench.CdControl).Write8(0, random.Next(4) == 0 ? random.Next(256) : 0);
                break;
            case 5 or 6:
                ports.Write8(7, random.Next(8) == 0 ? random.Next(256) : Commands[random.Next(Commands.Length)]);
                break;
            case 7:
                byte[] packet = new byte[12];
                random.NextBytes(packet);
                packet[0] = Operations[random.Next(Operations.Length)];
                if (random.Next(2) == 0) packet.AsSpan(2, 3).Clear();
                if (random.Next(2) == 0) packet.AsSpan(6, 2).Clear();
                ports.Write8(7, 0xa0);
                IdeBench.WriteData(ports, packet);
                break;
            case 8 or 9:
                for (int i = random.Next(1200); i > 0; i--) ports.Read(0, data.AsSpan(0, 1 << random.Next(3)));
                break;
            case 10:
                for (int i = random.Next(600); i > 0; i--) ports.Write(0, data.AsSpan(0, 1 << random.Next(3)));
                break;
            case 11:
                bench.DiscDrive.Change(random.Next(2) == 0 ? null : bench.Disc);
                break;
            case 12:
                bench.Controller.Write(random.Next(256), 4, (uint)random.Next());
                bench.Controller.Write(4, 2, 5);
                break;
            default:
                ulong register = (ulong)random.Next(1, 7);
                ports.Write8(register, random.Next(2) == 0 ? random.Next(8) : random.Next(256));
                ports.Read8((ulong)random.Next(1, 8));
                break;
        }
    }
}
