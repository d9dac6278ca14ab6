using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.UserMode;

/// <summary>A group of user programs.</summary>
internal abstract class UserPart(UserCode user)
{
    protected UserCode User { get; } = user;

    /// <summary>Emits the code of this part.</summary>
    public abstract void Emit();

    /// <summary>Emits code that prints a text.</summary>
    protected void Print(string text)
    {
        Assembler a = User.Assembler;
        a.mov(edi, Text(text));
        a.mov(esi, text.Length);
        SystemCall(SystemCallNumber.Write);
    }

    /// <summary>Emits code that prints the number in RAX.</summary>
    protected void PrintNumber()
    {
        User.Assembler.mov(rdi, rax);
        User.Assembler.call(User.Library.PutDecimal);
    }

    /// <summary>Emits a system call; changes RAX, RCX, R11.</summary>
    protected void SystemCall(SystemCallNumber number)
    {
        User.Assembler.mov(eax, (int)number);
        User.Assembler.syscall();
    }

    /// <summary>Emits the end of a program.</summary>
    protected void Exit(int code)
    {
        User.Assembler.mov(edi, code);
        SystemCall(SystemCallNumber.Exit);
    }

    /// <summary>Address of a text that ends with a zero.</summary>
    protected uint Text(string text) => (uint)User.Code.Constants.Text(text);
}
