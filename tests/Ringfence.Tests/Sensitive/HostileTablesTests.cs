using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Support;
using Xunit.Abstractions;

namespace Ringfence.Tests.Sensitive;

/// <summary>
/// Random descriptors, gates, task state segments, page tables, registers and sensitive instructions: whatever a guest builds, the processor
/// stays in a state that exists.
/// </summary>
public sealed unsafe class HostileTablesTests(ITestOutputHelper output)
{
    private const int Machines = 400;

    private static readonly byte[][] Instructions =
    [
        [0xcf], [0x66, 0xcf], [0x48, 0xcf], [0xcb], [0xca, 8, 0], [0xcc], [0xf1], [0xce], [0xcd, 0x20], [0xcd, 0x81], [0xf4], [0xfa], [0xfb],
        [0x9c], [0x9d], [0x66, 0x9d], [0x0f, 0x05], [0x0f, 0x07], [0x48, 0x0f, 0x07], [0x0f, 0x34], [0x0f, 0x35], [0x8e, 0xd8], [0x8e, 0xd0], [0x8e, 0xe1], [0x8e, 0xeb],
        [0x1f], [0x17], [0x07], [0x0f, 0xa1], [0x0f, 0x00, 0xd8], [0x0f, 0x00, 0xd1], [0x0f, 0x00, 0xe3], [0x0f, 0x02, 0xc1], [0x0f, 0x03, 0xc3],
        [0x0f, 0x20, 0xc0], [0x0f, 0x22, 0xc0], [0x0f, 0x22, 0xd8], [0x0f, 0x22, 0xe1], [0x0f, 0x23, 0xf8], [0x0f, 0x21, 0xf0], [0x0f, 0x30], [0x0f, 0x32],
        [0x0f, 0x01, 0xf8], [0x0f, 0x01, 0xca], [0x0f, 0x01, 0xcb], [0x0f, 0x01, 0x38], [0x0f, 0x01, 0x13], [0x0f, 0x01, 0x1b], [0x0f, 0xb2, 0x03], [0xc4, 0x03],
        [0xff, 0x2b], [0xff, 0x1b], [0x6c], [0xf3, 0x6d], [0xf3, 0x6e], [0xec], [0xef], [0x0f, 0xa2], [0x63, 0xc8], [0x0f, 0x0b], [0x0f, 0x06],
    ];

    [EngineFact]
    public void Whatever_a_guest_builds_the_processor_stays_in_a_state_that_exists()
    {
        const int Seed = 20240615;
        output.WriteLine($"seed {Seed}");
        var random = new Random(Seed);
        for (int i = 0; i < Machines; i++)
        {
            using var machine = new TestMachine();
            Prepare(machine, random, i);
            for (int round = 0; round < 4; round++)
            {
                ExitReason reason = machine.RunToHalt(500);
                Check(machine, i);
                if (reason is not ExitReason.Halt) break;
                machine.State->Activity = ActivityState.Active;
            }
        }
    }

    private static void Prepare(TestMachine machine, Random random, int index)
    {
        VcpuState* s = machine.State;
        if (index % 5 != 4)
        {
            if (index % 5 < 2) machine.EnterProtected();
            else machine.EnterLong();
        }

        for (uint i = 2; i < 512; i++) machine.SetGdt((int)(i * 8) & 0xfff8, RandomDescriptor(random));
        for (uint i = 0; i < 256; i++) machine.Write64(TestMachine.Idt + (i * 8), random.Next(4) == 0 ? RandomDescriptor(random) : machine.Read64(TestMachine.Idt + (i * 8)));
        for (uint i = 0; i < 512; i++) machine.Write64(TestMachine.Ldt + (i * 8), RandomDescriptor(random));
        for (uint i = 0; i < 0x80; i += 4) machine.Write32(TestMachine.Tss + i, RandomWord(random));
        var code = new List<byte>();
        while (code.Count < 2000)
        {
            code.AddRange(Instructions[random.Next(Instructions.Length)]);
            if (random.Next(3) == 0) code.AddRange([(byte)(0xb8 + random.Next(8)), .. BitConverter.GetBytes(RandomWord(random))]);
            if (random.Next(3) == 0) code.AddRange([0x6a, (byte)random.Next(256)]);
        }

        machine.Memory.Write(new GuestPhysical(TestMachine.Code), code.ToArray());
        machine.Memory.Write(new GuestPhysical(0xf000), code.ToArray());
        for (int vector = 0; vector < 256; vector++) machine.Memory.Write(new GuestPhysical(TestMachine.Handler(vector)), code.ToArray().AsSpan(vector * 4, 12));
        for (int i = 0; i < 16; i++)
            if (i != 4 || random.Next(3) == 0) s->Gpr[i] = RandomWord(random);
        s->SysenterCs = RandomWord(random) & 0xffff;
        s->SysenterEip = TestMachine.Code;
        s->Lstar = TestMachine.Code;
        s->Star = ((ulong)RandomWord(random) << 32) | RandomWord(random);
        if (random.Next(2) == 0 && index % 5 != 4) machine.EnterUser();
        if (index % 5 == 1) machine.EnterVirtual8086(random.Next(4));
        s->Rip = index % 5 == 4 ? 0xf000 : s->Rip;
        if (index % 5 == 4)
        {
            machine.Load(SegmentIndex.Cs, 0, 0, 0xffff, 0x9b);
            machine.Processor.Mmu.FlushCodeTlb();
            machine.Processor.RefreshMode();
        }

        if (random.Next(4) == 0 && s->HasCr0(Cr0.Pg))
        {
            for (uint i = 0; i < 4; i++) machine.Write64(TestMachine.PageTables + 0x2000 + (i * 8), (ulong)random.NextInt64() & ~(0xfffUL << 52));
            machine.Processor.Mmu.Flush();
        }
    }

    private static ulong RandomDescriptor(Random random)
    {
        int access = random.Next(256) | (random.Next(4) != 0 ? 0x80 : 0);
        return random.Next(3) switch
        {
            0 => TestMachine.Gate((ushort)random.Next(0x1000), random.Next(2) == 0 ? TestMachine.Code : RandomWord(random), access, random.Next(256)),
            1 => TestMachine.Descriptor(random.Next(2) == 0 ? 0 : RandomWord(random), (uint)random.Next(1 << 20), access, random.Next(16)),
            _ => TestMachine.Descriptor(TestMachine.Data, 0xf_ffff, access, random.Next(16)),
        };
    }

    private static uint RandomWord(Random random) => random.Next(4) switch
    {
        0 => (uint)random.Next(0x1000),
        1 => TestMachine.Code + (uint)random.Next(0x800),
        2 => TestMachine.Stack - (uint)random.Next(0x100),
        _ => (uint)random.NextInt64(),
    };

    private static void Check(TestMachine machine, int index)
    {
        VcpuState* s = machine.State;
        string where = $"machine {index}, {s->Mode}, rip {s->Rip:x}";
        s->FaultPending.ShouldBe((byte)0, where);
        s->Cpl.ShouldBeLessThan((byte)4, where);
        (s->SystemFlags & ~(RflagsBits.Defined & ~RflagsBits.Status)).ShouldBe(RflagsBits.AlwaysOne, where);
        bool paging = s->HasCr0(Cr0.Pg);
        bool longMode = (s->Efer & Efer.Lma) != 0;
        longMode.ShouldBe(paging && (s->Efer & Efer.Lme) != 0, where);
        (!longMode || s->HasCr4(Cr4.Pae)).ShouldBeTrue(where);
        (!paging || s->HasCr0(Cr0.Pe)).ShouldBeTrue(where);
        ProcessorMode expected = !s->HasCr0(Cr0.Pe) ? ProcessorMode.Real
            : (s->SystemFlags & RflagsBits.Vm) != 0 ? ProcessorMode.Virtual8086
            : !longMode ? ProcessorMode.Protected
            : (s->Segment(SegmentIndex.Cs).Attributes & SegmentAttributes.Long) != 0 ? ProcessorMode.Long : ProcessorMode.Compatibility;
        s->Mode.ShouldBe(expected, where);
        if (expected == ProcessorMode.Virtual8086) s->Cpl.ShouldBe((byte)3, where);
        if (expected == ProcessorMode.Real) s->Cpl.ShouldBe((byte)0, where);
        if (expected is ProcessorMode.Long or ProcessorMode.Compatibility) (s->Segment(SegmentIndex.Cs).Selector & 3).ShouldBe(s->Cpl, where);
        s->EventMask.ShouldBe(((s->SystemFlags & RflagsBits.If) != 0 ? ~0 : ~ProcessorEvents.Interrupt) & (s->NmiBlocked == 0 ? ~0 : ~ProcessorEvents.Nmi), where);
    }
}
