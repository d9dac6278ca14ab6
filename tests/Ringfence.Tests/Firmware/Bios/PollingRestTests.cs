using System.Buffers.Binary;
using Iced.Intel;
using Ringfence.Firmware.Bios;
using Ringfence.Machines;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Machines;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using static Ringfence.Tests.Firmware.Bios.BootPrograms;

namespace Ringfence.Tests.Firmware.Bios;

/// <summary>Programs that ask for a key again and again.</summary>
public sealed class PollingRestTests
{
    private const byte Periodic = 0x40;

    private readonly FakePlatform _platform = new();
    private uint _tick = 1000;

    [Fact]
    public void A_program_that_asks_for_a_key_for_two_ticks_rests_until_the_next_interrupt()
    {
        byte rate = Cmos(0x0a);
        PollForTicks(2);
        ServiceFrame frame = Poll();
        frame.Answer.ShouldBe(ServiceAnswer.Halt);
        (Cmos(0x0b) & Periodic).ShouldNotBe(0);
        Cmos(0x0a).ShouldBe((byte)((rate & 0xf0) | 8));

        // Asked again, it answers; the program asks the next time.
        Poll(step: frame.Step).Answer.ShouldBe(ServiceAnswer.Done);
        (Cmos(0x0b) & Periodic).ShouldBe(0);
        Cmos(0x0a).ShouldBe(rate);
        frame = Poll();
        frame.Answer.ShouldBe(ServiceAnswer.Halt);
        _platform.Call(0x16, 0x0500, ecx: 0x1e61);
        (Cmos(0x0b) & Periodic).ShouldBe(0);
        frame = Poll(step: frame.Step);
        frame.Answer.ShouldBe(ServiceAnswer.Done);
        frame.Ax.ShouldBe((ushort)0x1e61);
        frame.Zero.ShouldBeFalse();
    }

    [Theory]
    [InlineData("other registers")]
    [InlineData("another service")]
    [InlineData("a clock of its own")]
    [InlineData("a handler of its own")]
    [InlineData("fewer questions")]
    [InlineData("one tick")]
    public void A_program_that_does_anything_else_does_not_rest(string what)
    {
        if (what == "a clock of its own") Cmos(0x0b, Periodic | 2);
        if (what == "a handler of its own") _platform.Memory[4 * 0x70]++;
        PollForTicks(what == "one tick" ? 1 : 2, polls: what == "fewer questions" ? 60 : 64);
        if (what == "another service")
        {
            // One access may be the end of the tick's interrupt.
            _platform.Call(0x12);
            _platform.Call(0x12);
        }

        Poll(ebx: what == "other registers" ? 1u : 0).Answer.ShouldBe(ServiceAnswer.Done);
    }

    [EngineFact]
    public async Task A_program_that_waits_for_a_key_leaves_the_host_alone_and_gets_it()
    {
        byte[] disk = Disk(c =>
        {
            Label ask = c.CreateLabel("ask");
            c.sti();
            c.Label(ref ask);
            c.mov(ah, 1);
            c.@int(0x16);
            c.jz(ask);
            c.mov(ah, 0);
            c.@int(0x16);
            c.mov(ah, 0x0e);
            c.mov(bx, 7);
            c.@int(0x10);
            c.PowerOff();
        });
        using VirtualMachine machine = TestPrograms.Start(From(HardDisk(disk)) with { Console = FirmwareConsole.Serial });
        SpinWait.SpinUntil(() => machine.Statistics.Exits.GetValueOrDefault(ExitReason.Halt) > 50, TestPrograms.Patience).ShouldBeTrue();
        machine.Serial[0].Write("k");
        (await machine.WaitForExitAsync(TestPrograms.Patience)).Reason.ShouldBe(MachineExitReason.PowerOff);
        machine.Serial[0].Output.ShouldEndWith("k");
    }

    private void PollForTicks(int ticks, int polls = 64)
    {
        for (; ticks > 0; ticks--, _tick++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(_platform.Memory[(int)BiosData.Ticks..], _tick);
            for (int i = 0; i < polls; i++) Poll().Answer.ShouldBe(ServiceAnswer.Done);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(_platform.Memory[(int)BiosData.Ticks..], _tick);
    }

    private ServiceFrame Poll(byte step = 0, uint ebx = 0) => _platform.Call(0x16, 0x0100, ebx, change: f => f.Step = step);

    private byte Cmos(int register)
    {
        _platform.WritePort(0x70, 1, (byte)register);
        return (byte)_platform.ReadPort(0x71, 1);
    }

    private void Cmos(int register, byte value)
    {
        _platform.WritePort(0x70, 1, (byte)register);
        _platform.WritePort(0x71, 1, value);
    }
}
