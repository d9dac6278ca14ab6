using System.Text;
using Ringfence.Firmware;

namespace Ringfence.Tests.Firmware;

public sealed class SmbiosTablesTests
{
    [Theory]
    [InlineData(64UL << 20, 1)]
    [InlineData(6UL << 30, 8)]
    public void The_structures_are_found_from_f0000h_on_and_describe_the_machine(ulong memory, int processors)
    {
        using EmptyMachine machine = new(memory, processors);
        FirmwareTables.Write(machine.Target);
        ulong entry = Find(machine);
        Sum(machine.Read(entry, 31)).ShouldBe((byte)0);
        Sum(machine.Read(entry + 16, 15)).ShouldBe((byte)0);
        Encoding.ASCII.GetString(machine.Read(entry + 16, 5)).ShouldBe("_DMI_");
        (machine.Read8(entry + 6), machine.Read8(entry + 7)).ShouldBe(((byte)2, (byte)8));

        List<(byte Type, byte[] Body)> structures = Walk(machine, entry);
        structures.Count.ShouldBe(machine.Read16(entry + 28));
        structures.Select(s => (int)s.Type).Distinct().ShouldBe([0, 1, 3, 4, 16, 17, 19, 32, 127]);
        structures.Count(s => s.Type == 4).ShouldBe(processors);
        BitConverter.ToUInt16(structures.Single(s => s.Type == 17).Body, 12).ShouldBe((ushort)(memory >> 20));
        ulong mapped = 0;
        foreach ((_, byte[] body) in structures.Where(s => s.Type == 19)) mapped += BitConverter.ToUInt32(body, 8) - (ulong)BitConverter.ToUInt32(body, 4) + 1;
        (mapped << 10).ShouldBe(memory);
    }

    private static ulong Find(EmptyMachine machine)
    {
        for (ulong at = LowMemory.Tables; at < LowMemory.TablesEnd; at += 16)
            if (machine.Read(at, 4).SequenceEqual("_SM_"u8.ToArray())) return at;
        throw new InvalidOperationException("There is no entry point.");
    }

    private static List<(byte Type, byte[] Body)> Walk(EmptyMachine machine, ulong entry)
    {
        List<(byte Type, byte[] Body)> structures = [];
        ulong at = machine.Read32(entry + 24), end = at + machine.Read16(entry + 22);
        while (at < end)
        {
            byte[] body = machine.Read(at, machine.Read8(at + 1));
            structures.Add((body[0], body));
            at += (ulong)body.Length;
            while (machine.Read16(at) != 0) at++;
            at += 2;
        }

        at.ShouldBe(end);
        return structures;
    }

    private static byte Sum(byte[] bytes) => (byte)bytes.Sum(b => b);
}
