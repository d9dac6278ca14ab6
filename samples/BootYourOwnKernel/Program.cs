using BootYourOwnKernel;
using Ringfence.Machines;
using Ringfence.Memory;

// A machine, made from options. The kernel could as well be a Multiboot or Linux image: KernelBoot.
using var machine = VirtualMachine.Create(new MachineOptions
{
    MemoryBytes = 1 << 20,
    Boot = new RawBoot { Image = TinyKernel.Assemble(), Address = TinyKernel.Address },
});
SerialConsole serial = machine.Serial[0];
TimeSpan patience = TimeSpan.FromSeconds(10);

// Talk to it as a test would.
machine.Start();
await serial.WaitForTextAsync("> ", patience);
serial.WriteLine("hello, kernel");
string answer = await serial.WaitForTextAsync("\r\n> ", patience);
Console.WriteLine($"The kernel answered: {answer.Split('\r')[0]}");

// Look inside while it stands still.
machine.Pause();
ProcessorRegisters registers = machine.GetRegisters();
byte[] code = new byte[2];
machine.ReadMemory(new GuestPhysical(TinyKernel.Address), code);
Console.WriteLine($"BX counts {registers.Rbx} letters; the kernel begins with bytes {Convert.ToHexString(code)}; the next instruction is");
Console.WriteLine(machine.DisassembleCurrent());
machine.Step();
Console.WriteLine($"After one step RIP went from 0x{registers.Rip:x} to 0x{machine.GetRegisters().Rip:x}.");
machine.Resume();

// An empty line switches it off.
serial.WriteLine("");
MachineExit exit = await machine.WaitForExitAsync(patience);
Console.WriteLine($"It ended: {exit.Reason}, after {machine.Statistics.Instructions} instructions.");
return exit.ExitCode;
