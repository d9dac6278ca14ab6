using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.Kernel;

/// <summary>
/// What lies on the kernel's stack while it handles an interrupt, an exception or a system call: offsets from RSP. The upper
/// part is what the processor pushes (Intel SDM 3A 6.14.2); system calls push the same.
/// </summary>
internal static class TrapFrame
{
    public const int Rbp = 32;
    public const int Rbx = 40;
    public const int Rdi = 80;
    public const int Rsi = 88;
    public const int Rdx = 96;
    public const int Rcx = 104;
    public const int Rax = 112;
    public const int Vector = 120;
    public const int ErrorCode = 128;
    public const int Rip = 136;
    public const int Cs = 144;
    public const int Rflags = 152;
    public const int Rsp = 160;
    public const int Ss = 168;
    public const int Bytes = 176;

    /// <summary>In the order pushed: R15 ends up at offset 0.</summary>
    public static AssemblerRegister64[] Registers => [rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11, rbx, rbp, r12, r13, r14, r15];

    /// <summary>Names with offsets, for the report of a fault.</summary>
    public static (string Name, int Offset)[] Names =>
    [
        ("rax", 112), ("rbx", 40), ("rcx", 104), ("rdx", 96), ("rsi", 88), ("rdi", 80), ("rbp", 32), ("r8 ", 72),
        ("r9 ", 64), ("r10", 56), ("r11", 48), ("r12", 24), ("r13", 16), ("r14", 8), ("r15", 0),
    ];
}
