using System.Collections.Concurrent;
using System.Text;
using System.Text.RegularExpressions;
using Iced.Intel;
using Ringfence.Machines;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using static Ringfence.Tests.Machines.TestPrograms;

namespace Ringfence.Tests.Machines;

public sealed class ConsoleTests
{
    [EngineFact]
    public async Task A_typed_line_reaches_a_polling_guest_and_comes_back()
    {
        using VirtualMachine machine = Start(Echo("ready> "));
        SerialConsole serial = machine.Serial[0];
        (await serial.WaitForTextAsync("> ", Patience)).ShouldBe("ready> ");
        serial.WriteLine("hello, a line that is longer than the port's FIFO");
        (await serial.WaitForTextAsync("FIFO\r", Patience)).ShouldBe("hello, a line that is longer than the port's FIFO\r");
    }

    [EngineFact]
    public async Task Input_written_before_the_start_waits_for_the_guest()
    {
        using VirtualMachine machine = Create(Echo("ready> "));
        machine.Serial[0].Write("early bird");
        machine.Start();
        (await machine.Serial[0].WaitForTextAsync("bird", Patience)).ShouldBe("ready> early bird");
    }

    [EngineFact]
    public async Task Each_wait_continues_behind_the_one_before()
    {
        using VirtualMachine machine = Start(RealMode(c =>
        {
            c.Print("$ one $ two $ ");
            c.Forever();
        }));
        SerialConsole serial = machine.Serial[0];
        (await serial.WaitForTextAsync("$ ", Patience)).ShouldBe("$ ");
        (await serial.WaitForTextAsync("$ ", Patience)).ShouldBe("one $ ");
        (await serial.WaitForTextAsync(new Regex("t.o"), Patience)).ShouldBe("two");
        (await serial.WaitForTextAsync("$ ", Patience)).ShouldBe(" $ ");
    }

    [EngineFact]
    public async Task A_text_that_does_not_come_is_a_timeout_that_shows_the_last_lines()
    {
        using VirtualMachine machine = Start(RealMode(c =>
        {
            c.Print("first\nlast words");
            c.Forever();
        }));
        await machine.Serial[0].WaitForTextAsync("words", Patience);
        TimeoutException timeout = await Should.ThrowAsync<TimeoutException>(
            machine.Serial[0].WaitForTextAsync("login:", TimeSpan.FromMilliseconds(50)));
        timeout.Message.ShouldContain("\"login:\" did not appear within 0.05 s");
        timeout.Message.ShouldContain("last words");
    }

    [EngineFact]
    public async Task Waiting_for_a_machine_that_has_ended_fails_at_once_and_says_how_it_ended()
    {
        using VirtualMachine machine = Start(RealMode(c =>
        {
            c.Print("bye");
            c.PowerOff();
        }));
        MachineEndedException ended = await Should.ThrowAsync<MachineEndedException>(machine.Serial[0].WaitForTextAsync("login:", Patience));
        ended.Message.ShouldContain("PowerOff");
        ended.Message.ShouldContain("bye");
        (await machine.Serial[0].WaitForTextAsync("bye", Patience)).ShouldBe("bye");
    }

    [EngineFact]
    public async Task All_output_has_been_streamed_when_the_machine_has_ended()
    {
        const int Lines = 2000;
        using VirtualMachine machine = Create(RealMode(c =>
        {
            Label again = c.CreateLabel();
            c.mov(cx, Lines);
            c.Label(ref again);
            c.Print("0123456789\n");
            c.dec(cx);
            c.jne(again);
            c.PowerOff();
        }));
        var streamed = new ConcurrentQueue<byte>();
        machine.Serial[0].OutputReceived += bytes =>
        {
            foreach (byte value in bytes.Span) streamed.Enqueue(value);
        };
        machine.Start();
        await machine.WaitForExitAsync(Patience);
        Encoding.ASCII.GetString([.. streamed]).ShouldBe(string.Concat(Enumerable.Repeat("0123456789\n", Lines)));
    }

    [EngineFact]
    public async Task A_handler_that_throws_ends_the_machine_and_not_the_process()
    {
        using VirtualMachine machine = Create(Echo("text"));
        machine.Serial[0].OutputReceived += _ => throw new FormatException("the handler's own fault");
        machine.Start();
        MachineExit exit = await machine.WaitForExitAsync(Patience);
        exit.Reason.ShouldBe(MachineExitReason.InternalError);
        exit.ExitCode.ShouldBe(4);
        exit.Report.ShouldContain("the handler's own fault");
    }

    [EngineFact]
    public async Task The_debug_console_and_the_other_ports_have_their_own_output()
    {
        using VirtualMachine machine = Start(RealMode(c =>
        {
            c.mov(al, (byte)'d');
            c.@out(0xe9, al);
            c.mov(dx, 0x2f8);
            c.mov(al, (byte)'2');
            c.@out(dx, al);
            c.Print("1");
            c.PowerOff();
        }));
        await machine.WaitForExitAsync(Patience);
        machine.DebugConsole.Output.ShouldBe("d");
        machine.Serial.Select(s => (s.Name, s.Output)).ShouldBe([("COM1", "1"), ("COM2", "2")]);
    }

    [Fact]
    public void The_transcript_keeps_the_last_characters_and_their_positions()
    {
        var transcript = new ConsoleTranscript(256);
        for (int i = 0; i < 1000; i++) transcript.Append((byte)('0' + (i % 10)));
        transcript.End.ShouldBe(1000);
        transcript.From(0).Length.ShouldBeInRange(256, 512);
        transcript.From(990).ToString().ShouldBe("0123456789");
    }

    [Fact]
    public void The_transcript_decodes_utf8_and_replaces_what_is_none()
    {
        var transcript = new ConsoleTranscript(256);
        foreach (byte value in (byte[])[.. "é€😀"u8, 0xff, (byte)'x']) transcript.Append(value);
        transcript.From(0).ToString().ShouldBe("é€😀\ufffdx");
    }

    private static RawBoot Echo(string greeting) => RealMode(c =>
    {
        Label next = c.CreateLabel();
        c.Print(greeting);
        c.Label(ref next);
        c.Receive();
        c.@out(dx, al);
        c.jmp(next);
    });
}
