using Iced.Intel;

namespace Ringfence.Guests.UserMode;

/// <summary>
/// All user programs: one text, mapped into every task's user space, with the shell as the first program. A program starts
/// with RDI at its command line, an empty stack aligned to 16 bytes, and zeros in the other registers; it ends with the exit
/// system call. Registers in calls are those of the System V ABI.
/// </summary>
internal sealed class UserCode
{
    public UserCode()
    {
        Assembler = Code.Assembler;
        Library = new UserLibrary(this);
        Shell = new Shell(this);
        Commands = new ShellCommands(this);
        CpuidCommand = new CpuidCommand(this);
        Programs = new Programs(this);
        Crash = new CrashProgram(this);
        Demo = new DemoProgram(this);
    }

    public CodeBuilder Code { get; } = new(MemoryMap.UserText, MemoryMap.UserReadOnly);

    public Assembler Assembler { get; }

    public UserLibrary Library { get; }

    public Shell Shell { get; }

    public ShellCommands Commands { get; }

    public CpuidCommand CpuidCommand { get; }

    public Programs Programs { get; }

    public CrashProgram Crash { get; }

    public DemoProgram Demo { get; }

    /// <summary>Where the shell starts; the shell comes first.</summary>
    public ulong ShellAddress => MemoryMap.UserText;

    /// <summary>Encodes the text; the constants are complete then.</summary>
    public byte[] Assemble()
    {
        Shell.Emit();
        Commands.Emit();
        CpuidCommand.Emit();
        Programs.Emit();
        Crash.Emit();
        Demo.Emit();
        Library.Emit();
        return Code.Assemble();
    }
}
