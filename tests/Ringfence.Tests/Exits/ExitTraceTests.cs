using System.Text.Json;
using Ringfence.Machines;
using Ringfence.Tests.Machines;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;
using static Ringfence.Tests.Machines.TestPrograms;

namespace Ringfence.Tests.Exits;

public sealed class ExitTraceTests
{
    [EngineFact]
    public async Task A_trace_has_a_complete_event_for_each_exit_with_its_place_and_its_cause()
    {
        JsonElement trace = await Trace(5, ExitTraceOptions.DefaultMaximumBytes);
        JsonElement[] ports = [.. trace.GetProperty("traceEvents").EnumerateArray().Where(e => e.GetProperty("name").GetString() == "PortIo")];
        ports.Length.ShouldBe(5 + 1);
        foreach (JsonElement port in ports[..5])
        {
            port.GetProperty("ph").GetString().ShouldBe("X");
            port.GetProperty("dur").GetDouble().ShouldBeGreaterThanOrEqualTo(0);
            port.GetProperty("args").GetProperty("port").GetString().ShouldBe("0x80");
            port.GetProperty("args").GetProperty("rip").GetString().ShouldNotBe("0x0");
        }

        double[] starts = [.. ports.Select(p => p.GetProperty("ts").GetDouble())];
        starts.ShouldBe(starts.Order());
        trace.GetProperty("otherData").GetProperty("exits_left_out").GetInt64().ShouldBe(0);
    }

    [EngineFact]
    public async Task A_trace_keeps_to_its_bound_and_says_how_many_exits_it_left_out()
    {
        const int Bound = 32 << 10;
        const int Exits = 20_000;
        using var stream = new MemoryStream();
        JsonElement trace = await Trace(Exits, Bound, stream);
        stream.Length.ShouldBeLessThanOrEqualTo(Bound);
        JsonElement summary = trace.GetProperty("otherData");
        long recorded = summary.GetProperty("exits_recorded").GetInt64();
        recorded.ShouldBeGreaterThan(50);
        (recorded + summary.GetProperty("exits_left_out").GetInt64()).ShouldBeGreaterThan(Exits);
    }

    [EngineFact]
    public async Task A_stream_that_cannot_be_written_ends_the_trace_and_not_the_machine()
    {
        using var stream = new FailingStream();
        using VirtualMachine machine = Start(Program(10_000), o => o with { Trace = new ExitTraceOptions { Output = stream } });
        MachineExit exit = await machine.WaitForExitAsync(Patience);
        exit.Reason.ShouldBe(MachineExitReason.PowerOff);
        exit.Report.ShouldContain("no room");
    }

    private static async Task<JsonElement> Trace(int exits, long bound, MemoryStream? stream = null)
    {
        stream ??= new MemoryStream();
        using VirtualMachine machine = Start(Program(exits), o => o with { Trace = new ExitTraceOptions { Output = stream, MaximumBytes = bound } });
        await machine.WaitForExitAsync(Patience);
        return JsonDocument.Parse(stream.ToArray()).RootElement;
    }

    private static RawBoot Program(int exits) => ProtectedMode(c =>
    {
        Iced.Intel.Label loop = c.CreateLabel();
        c.mov(ecx, exits);
        c.Label(ref loop);
        c.@out(0x80, al);
        c.dec(ecx);
        c.jnz(loop);
        c.PowerOff();
    });

    private sealed class FailingStream : MemoryStream
    {
        public override void Write(ReadOnlySpan<byte> buffer)
        {
            if (Length > 4096) throw new IOException("no room");
            base.Write(buffer);
        }
    }
}
