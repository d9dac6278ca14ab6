namespace Ringfence.Virtualizability.HostProcessors;

/// <summary>
/// The seccomp filter of the child: four system calls, and only from the child's own page of code. Whatever the code under test calls
/// (SYSCALL, SYSENTER, INT 80h) comes back as SIGSYS and has no effect: SECCOMP_RET_TRAP.
/// </summary>
internal static class HostProbeFilter
{
    private const uint Trap = 0x0003_0000;
    private const uint Allow = 0x7fff_0000;
    private const uint X86_64 = 0xc000_003e;

    // Offsets in the kernel's seccomp_data.
    private const uint Number = 0;
    private const uint Architecture = 4;
    private const uint InstructionPointer = 8;

    // Classic BPF: load a word, compare it, return.
    private const ushort Load = 0x20;
    private const ushort JumpIfEqual = 0x15;
    private const ushort JumpIfAtLeast = 0x35;
    private const ushort Return = 0x06;

    /// <summary>The program, 8 bytes an instruction.</summary>
    public static ulong[] Build()
    {
        ReadOnlySpan<uint> allowed = [HostProbeCode.Read, HostProbeCode.Write, HostProbeCode.SetTimer, HostProbeCode.ExitGroup];
        int length = 8 + allowed.Length + 2;
        var program = new List<ulong>(length)
        {
            // A jump that fails goes to the last instruction but one.
            Instruction(Load, Architecture),
            Instruction(JumpIfEqual, X86_64, 0, length - 4),
            Instruction(Load, InstructionPointer + 4),
            Instruction(JumpIfEqual, 0, 0, length - 6),
            Instruction(Load, InstructionPointer),
            Instruction(JumpIfAtLeast, HostProbeLayout.ProbeCode, 0, length - 8),
            Instruction(JumpIfAtLeast, HostProbeLayout.ProbeCode + HostProbeLayout.ProbeCodeBytes, length - 9, 0),
            Instruction(Load, Number),
        };
        for (int i = 0; i < allowed.Length; i++) program.Add(Instruction(JumpIfEqual, allowed[i], allowed.Length - i, 0));
        program.Add(Instruction(Return, Trap));
        program.Add(Instruction(Return, Allow));
        return [.. program];
    }

    private static ulong Instruction(ushort code, uint operand, int ifTrue = 0, int ifFalse = 0) =>
        code | ((ulong)(byte)ifTrue << 16) | ((ulong)(byte)ifFalse << 24) | ((ulong)operand << 32);
}
