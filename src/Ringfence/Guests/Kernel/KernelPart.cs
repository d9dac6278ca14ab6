using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.Kernel;

/// <summary>A topic of the kernel.</summary>
internal abstract class KernelPart(KernelCode kernel)
{
    protected KernelCode Kernel { get; } = kernel;

    /// <summary>Emits the routines of this part.</summary>
    public abstract void Emit();

    /// <summary>Emits code that prints a text; changes RAX, RCX, RDX, RSI, RDI.</summary>
    protected void Print(string text)
    {
        Assembler a = Kernel.Assembler;
        a.mov(rdi, (long)Kernel.Code.Constants.Text(text));
        a.mov(esi, text.Length);
        a.call(Kernel.Console.PutText);
    }

    /// <summary>Emits code that loads the current task's address.</summary>
    protected void LoadCurrentTask(AssemblerRegister64 register) =>
        Kernel.Assembler.mov(register, __qword_ptr.gs[ProcessorTables.CurrentTask]);
}
