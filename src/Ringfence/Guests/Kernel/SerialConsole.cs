using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.Kernel;

/// <summary>
/// The console on the first serial port, a 16550A (National Semiconductor's data sheet): output waits for the transmitter,
/// input comes by interrupt into a ring. When the ring is full, the receive interrupt is turned off until a reader has made
/// room, so that the line's other end waits and nothing is lost.
/// </summary>
internal sealed class SerialConsole(KernelCode kernel) : KernelPart(kernel)
{
    public const int Port = 0x3f8;
    public const int InterruptEnable = Port + 1;
    public const int FifoControl = Port + 2;
    public const int LineControl = Port + 3;
    public const int ModemControl = Port + 4;
    public const int LineStatus = Port + 5;
    public const int DataReady = 1;
    public const int TransmitterEmpty = 0x20;
    private const int ControlC = 3;
    private const int RingBytes = 4096;
    private readonly ulong _ring = kernel.Zeroed.Reserve(RingBytes);
    private readonly ulong _first = kernel.Zeroed.Reserve(8);
    private readonly ulong _end = kernel.Zeroed.Reserve(8);
    private readonly ulong _paused = kernel.Zeroed.Reserve(8);

    /// <summary>Turns the receive interrupt on; what has arrived by now raises it.</summary>
    public Routine Initialize { get; } = kernel.Code.Routine("console_initialize");

    /// <summary>AL: a byte to print. Changes RDX.</summary>
    public Routine PutByte { get; } = kernel.Code.Routine("console_put_byte");

    /// <summary>RDI, RSI: text and its length; a line feed becomes carriage return, line feed. Changes RAX, RCX, RDX, RSI, RDI.</summary>
    public Routine PutText { get; } = kernel.Code.Routine("console_put_text");

    /// <summary>RDI: a text that ends with a zero.</summary>
    public Routine PutString { get; } = kernel.Code.Routine("console_put_string");

    /// <summary>RDI: a number, printed as 0x and hexadecimal digits without leading zeros.</summary>
    public Routine PutHexadecimal { get; } = kernel.Code.Routine("console_put_hexadecimal");

    /// <summary>RDI: a number.</summary>
    public Routine PutDecimal { get; } = kernel.Code.Routine("console_put_decimal");

    public Routine Interrupt { get; } = kernel.Code.Routine("console_interrupt");

    /// <summary>Waits for a byte; returns it in EAX, or -1 if the task is to end.</summary>
    public Routine Read { get; } = kernel.Code.Routine("console_read");

    /// <summary>115200 bits a second, 8 bits, FIFOs, an interrupt for each byte; no interrupt yet. For 32-bit and 64-bit code.</summary>
    public static void EmitInitialize(Assembler a)
    {
        ReadOnlySpan<(int Register, int Value)> steps =
        [
            (InterruptEnable, 0), (LineControl, 0x80), (Port, 1), (InterruptEnable, 0), (LineControl, 3), (FifoControl, 7), (ModemControl, 0x0b),
        ];
        foreach ((int register, int value) in steps) Output(a, register, value);
    }

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = Kernel.Assembler;
        a.Here(Initialize);
        Output(a, InterruptEnable, 1);
        a.ret();
        EmitOutput(a);
        EmitNumbers(a);
        EmitInterrupt(a);
        EmitRead(a);
    }

    private static void Output(Assembler a, int register, int value)
    {
        a.mov(edx, register);
        a.mov(al, (byte)value);
        a.@out(dx, al);
    }

    private void EmitOutput(Assembler a)
    {
        Label next = a.CreateLabel();
        Label plain = a.CreateLabel();
        Label done = a.CreateLabel();
        a.Here(PutByte);
        a.push(rax);
        a.mov(edx, LineStatus);
        a.AnonymousLabel();
        a.@in(al, dx);
        a.test(al, TransmitterEmpty);
        a.jz(a.B);
        a.pop(rax);
        a.mov(edx, Port);
        a.@out(dx, al);
        a.ret();

        a.Here(PutText);
        a.mov(rcx, rsi);
        a.mov(rsi, rdi);
        a.Here(ref next);
        a.sub(rcx, 1);
        a.jb(done);
        a.lodsb();
        a.cmp(al, 10);
        a.jne(plain);
        a.mov(al, 13);
        a.call(PutByte);
        a.mov(al, 10);
        a.Here(ref plain);
        a.call(PutByte);
        a.jmp(next);
        a.Here(ref done);
        a.ret();

        a.Here(PutString);
        a.xor(esi, esi);
        a.AnonymousLabel();
        a.inc(rsi);
        a.cmp(__byte_ptr[rdi + rsi - 1], 0);
        a.jne(a.B);
        a.dec(rsi);
        a.jmp(PutText);
    }

    private void EmitNumbers(Assembler a)
    {
        // Both collect digits on the stack from the last to the first.
        foreach ((Routine routine, int radix) in new[] { (PutHexadecimal, 16), (PutDecimal, 10) })
        {
            Label next = a.CreateLabel();
            Label digit = a.CreateLabel();
            a.Here(routine);
            a.PushAll(rbx, rbp);
            a.mov(rbp, rsp);
            a.sub(rsp, 32);
            a.mov(rax, rdi);
            a.mov(rbx, rbp);
            a.mov(ecx, radix);
            a.Here(ref next);
            a.xor(edx, edx);
            a.div(rcx);
            a.cmp(edx, 10);
            a.jb(digit);
            a.add(edx, 'a' - '0' - 10);
            a.Here(ref digit);
            a.add(edx, '0');
            a.dec(rbx);
            a.mov(__byte_ptr[rbx], dl);
            a.test(rax, rax);
            a.jnz(next);
            if (radix == 16)
            {
                a.sub(rbx, 2);
                a.mov(__word_ptr[rbx], '0' | ('x' << 8));
            }

            a.mov(rdi, rbx);
            a.mov(rsi, rbp);
            a.sub(rsi, rbx);
            a.call(PutText);
            a.mov(rsp, rbp);
            a.PopAll(rbx, rbp);
            a.ret();
        }
    }

    /// <summary>Takes bytes until there are no more: the interrupt is edge-triggered and comes again only after the line was low.</summary>
    private void EmitInterrupt(Assembler a)
    {
        Label next = a.CreateLabel();
        Label store = a.CreateLabel();
        Label full = a.CreateLabel();
        Label done = a.CreateLabel();
        a.Here(Interrupt);
        a.push(rbx);
        a.inc(__qword_ptr[Kernel.SystemCalls.Counters + SystemRecord.SerialInterrupts]);
        a.Here(ref next);
        a.mov(edx, LineStatus);
        a.@in(al, dx);
        a.test(al, DataReady);
        a.jz(done);
        a.mov(rbx, __qword_ptr[_end]);
        a.mov(rax, rbx);
        a.sub(rax, __qword_ptr[_first]);
        a.cmp(rax, RingBytes);
        a.jae(full);
        a.mov(edx, Port);
        a.@in(al, dx);
        a.cmp(al, ControlC);
        a.jne(store);
        a.call(Kernel.Tasks.KillForeground);
        a.test(eax, eax);
        a.jnz(next);
        a.mov(al, ControlC);
        a.Here(ref store);
        a.mov(ecx, ebx);
        a.and(ecx, RingBytes - 1);
        a.mov(__byte_ptr[rcx + (long)_ring], al);
        a.inc(__qword_ptr[_end]);
        a.jmp(next);

        a.Here(ref full);
        Output(a, InterruptEnable, 0);
        a.mov(__dword_ptr[_paused], 1);
        a.Here(ref done);
        a.call(Kernel.Scheduler.WakeReaders);
        a.pop(rbx);
        a.ret();
    }

    private void EmitRead(Assembler a)
    {
        Label again = a.CreateLabel();
        Label have = a.CreateLabel();
        Label done = a.CreateLabel();
        a.Here(Read);
        a.push(rbx);
        a.Here(ref again);
        a.mov(rax, __qword_ptr[_first]);
        a.cmp(rax, __qword_ptr[_end]);
        a.jne(have);
        LoadCurrentTask(rbx);
        a.mov(eax, -1);
        a.cmp(__dword_ptr[rbx + TaskLayout.Killed], 0);
        a.jne(done);
        a.mov(__dword_ptr[rbx + TaskLayout.State], (int)TaskState.WaitingForInput);
        a.call(Kernel.Scheduler.Schedule);
        a.jmp(again);

        a.Here(ref have);
        a.and(eax, RingBytes - 1);
        a.movzx(ebx, __byte_ptr[rax + (long)_ring]);
        a.inc(__qword_ptr[_first]);
        a.mov(eax, ebx);
        a.cmp(__dword_ptr[_paused], 0);
        a.je(done);
        a.mov(rcx, __qword_ptr[_end]);
        a.sub(rcx, __qword_ptr[_first]);
        a.cmp(rcx, RingBytes / 2);
        a.ja(done);
        a.mov(__dword_ptr[_paused], 0);
        Output(a, InterruptEnable, 1);
        a.mov(eax, ebx);
        a.Here(ref done);
        a.pop(rbx);
        a.ret();
    }
}
