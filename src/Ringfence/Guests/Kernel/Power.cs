using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.Kernel;

/// <summary>
/// The end. The ports are those of the machines this guest is made for; an operating system for all PCs would ask the ACPI
/// tables (ACPI 6.5, 4.8.3.2.1 and 7.4.2).
/// </summary>
internal sealed class Power(KernelCode kernel) : KernelPart(kernel)
{
    private const int Pm1aControl = 0x604;
    private const int SleepEnable = 1 << 13;
    private const int SleepTypeShift = 10;
    private const int ResetControl = 0xcf9, KeyboardCommand = 0x64, DebugExit = 0xf4;
    private const int KeyboardReset = 0xfe;

    /// <summary>The system call: RDI and RSI as in <see cref="SystemCallNumber.Shutdown"/>.</summary>
    public Routine Shutdown { get; } = kernel.Code.Routine("power_shutdown");

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = Kernel.Assembler;
        Label notOff = a.CreateLabel();
        Label notReset = a.CreateLabel();
        Label notExit = a.CreateLabel();
        Label overflow = a.CreateLabel();
        Label bad = a.CreateLabel();
        ulong noIdt = Kernel.Code.Constants.Reserve(10);

        a.Here(Shutdown);
        a.test(edi, edi);
        a.jnz(notOff);
        foreach (int sleepType in new[] { 5, 0 }) // S5: 5 on our machine, 0 on QEMU's
        {
            a.mov(edx, Pm1aControl);
            a.mov(eax, SleepEnable | (sleepType << SleepTypeShift));
            a.@out(dx, ax);
        }

        Print("This machine does not power off.\n");
        a.mov(rax, -1);
        a.ret();

        a.Here(ref notOff);
        a.cmp(edi, 1);
        a.jne(notReset);
        a.mov(edx, ResetControl);
        a.mov(al, 2);
        a.@out(dx, al);
        a.mov(al, 6);
        a.@out(dx, al);
        a.mov(al, KeyboardReset);
        a.@out(KeyboardCommand, al);
        a.lidt(__[noIdt]); // without an IDT the next exception is a triple fault, which resets
        a.ud2();

        a.Here(ref notReset);
        a.cmp(edi, 2);
        a.jne(notExit);
        a.mov(eax, esi);
        a.@out(DebugExit, al);
        a.mov(rax, -1);
        a.ret();

        a.Here(ref notExit);
        a.cmp(edi, 3);
        a.jne(bad);
        a.Here(ref overflow);
        a.push(rax);
        a.jmp(overflow);
        a.Here(ref bad);
        a.mov(rax, -1);
        a.ret();
    }
}
