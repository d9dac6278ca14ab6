using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.Kernel;

/// <summary>
/// Time. The time stamp counter tells it, the local APIC's timer rings once when asked to; both are measured at the start
/// against the 8254's third counter, whose frequency is known. Between two rings nothing ticks: an idle guest sleeps.
/// </summary>
internal sealed class Clock(KernelCode kernel) : KernelPart(kernel)
{
    private const int ChannelTwo = 0x42, Command = 0x43, Gate = 0x61;
    private const int GateOn = 1, Speaker = 2, OutputHigh = 0x20;
    private const int PitFrequency = 1_193_182;
    private const int MeasuredMicroseconds = 4000;
    private const int PitCount = (int)((long)PitFrequency * MeasuredMicroseconds / 1_000_000);

    /// <summary>Counter 2, low byte then high byte, mode 0: the output rises at the end (8254's data sheet).</summary>
    private const int ChannelTwoOnce = 0xb0;
    private const int Measurements = 3;
    private const int LeastTicks = 1 << 13;
    private const int ApicDivisor = 16;
    private readonly ulong _start = kernel.Zeroed.Reserve(8);

    /// <summary>Microseconds a time stamp count, times 2^32.</summary>
    private readonly ulong _microsecondsPerTick = kernel.Zeroed.Reserve(8);

    /// <summary>APIC timer counts a microsecond, times 2^32.</summary>
    private readonly ulong _countsPerMicrosecond = kernel.Zeroed.Reserve(8);

    public Routine Calibrate { get; } = kernel.Code.Routine("clock_calibrate");

    /// <summary>Returns microseconds since the start. Changes RDX.</summary>
    public Routine Now { get; } = kernel.Code.Routine("clock_now");

    /// <summary>RDI: microseconds until the timer interrupt is wanted, -1 for none. Changes RAX, RCX, RDX.</summary>
    public Routine Arm { get; } = kernel.Code.Routine("clock_arm");

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = Kernel.Assembler;
        EmitCalibrate(a);

        a.Here(Now);
        a.rdtsc();
        a.shl(rdx, 32);
        a.or(rax, rdx);
        a.sub(rax, __qword_ptr[_start]);
        a.mul(__qword_ptr[_microsecondsPerTick]);
        a.shrd(rax, rdx, 32);
        a.ret();

        Label none = a.CreateLabel();
        a.Here(Arm);
        a.xor(eax, eax);
        a.cmp(rdi, -1);
        a.je(none);
        a.mov(ecx, int.MaxValue);
        a.cmp(rdi, rcx);
        a.cmova(rdi, rcx);
        a.mov(rax, rdi);
        a.mul(__qword_ptr[_countsPerMicrosecond]);
        a.shrd(rax, rdx, 32);
        a.mov(ecx, uint.MaxValue);
        a.cmp(rax, rcx);
        a.cmova(rax, rcx);
        a.mov(ecx, 1);
        a.test(rax, rax);
        a.cmovz(rax, rcx);
        a.Here(ref none);
        a.mov(__dword_ptr[Apic.InitialCount], eax);
        a.ret();
    }

    /// <summary>The shortest of several measurements: a disturbance can only make one longer.</summary>
    private void EmitCalibrate(Assembler a)
    {
        ulong counters = Kernel.SystemCalls.Counters;
        Label again = a.CreateLabel();
        Label wait = a.CreateLabel();
        Label longer = a.CreateLabel();
        a.Here(Calibrate);
        a.PushAll(rbx, r12, r13, r14);
        a.mov(r12, -1); // time stamp counts
        a.mov(ebx, Measurements);
        a.Here(ref again);
        a.@in(al, Gate);
        a.and(al, ~Speaker & 0xff);
        a.or(al, GateOn);
        a.@out(Gate, al);
        a.mov(al, ChannelTwoOnce);
        a.@out(Command, al);
        a.mov(al, PitCount & 0xff);
        a.@out(ChannelTwo, al);
        a.mov(al, PitCount >> 8);
        a.@out(ChannelTwo, al);
        a.mov(__dword_ptr[Apic.InitialCount], -1);
        a.rdtsc();
        a.shl(rdx, 32);
        a.lea(r14, __[rax + rdx]);
        a.Here(ref wait);
        a.@in(al, Gate);
        a.test(al, OutputHigh);
        a.jz(wait);
        a.rdtsc();
        a.mov(ecx, __dword_ptr[Apic.CurrentCount]);
        a.not(ecx);
        a.shl(rdx, 32);
        a.add(rax, rdx);
        a.sub(rax, r14);
        a.cmp(rax, r12);
        a.jae(longer);
        a.mov(r12, rax);
        a.mov(r13d, ecx);
        a.Here(ref longer);
        a.dec(ebx);
        a.jnz(again);
        a.mov(__dword_ptr[Apic.InitialCount], 0);

        a.mov(eax, LeastTicks);
        a.cmp(r12, rax);
        a.cmovb(r12, rax);
        a.mov(rax, (long)MeasuredMicroseconds << 32);
        a.xor(edx, edx);
        a.div(r12);
        a.mov(__qword_ptr[_microsecondsPerTick], rax);
        a.mov(rax, r13);
        a.shl(rax, 32);
        a.xor(edx, edx);
        a.mov(ecx, MeasuredMicroseconds);
        a.div(rcx);
        a.mov(__qword_ptr[_countsPerMicrosecond], rax);
        a.imul(rax, r12, 1_000_000 / MeasuredMicroseconds);
        a.mov(__qword_ptr[counters + SystemRecord.TscFrequency], rax);
        a.imul(rax, r13, 1_000_000 / MeasuredMicroseconds * ApicDivisor);
        a.mov(__qword_ptr[counters + SystemRecord.ApicFrequency], rax);
        a.mov(__qword_ptr[_start], r14);
        a.PopAll(rbx, r12, r13, r14);
        a.ret();
    }
}
