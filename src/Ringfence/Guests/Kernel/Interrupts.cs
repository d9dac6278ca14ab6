using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.Kernel;

/// <summary>
/// The IDT, the entry from interrupts and exceptions, and the return from them (Intel SDM 3A 6.14). A stub for each vector
/// pushes what the processor did not, so that every <see cref="TrapFrame"/> looks the same.
/// <para>
/// SWAPGS is done when the interrupted code ran at CPL 3, told by the CS pushed. NMI, #DF and #MC can come between an entry
/// and its SWAPGS; they look at the GS base itself, which is in the upper half only for the kernel, and run on stacks of
/// their own.
/// </para>
/// </summary>
internal sealed class Interrupts : KernelPart
{
    public const int ExceptionCount = 32;
    private const int BreakpointVector = 3, NonMaskableVector = 2, DoubleFaultVector = 8, MachineCheckVector = 18;
    private const int FirstPicVector = 0x20, LastPicVector = 0x2f;

    /// <summary>Vectors for which the processor pushes an error code (Intel SDM 3A 6.3.1).</summary>
    private const uint WithErrorCode = (1u << 8) | (1u << 10) | (1u << 11) | (1u << 12) | (1u << 13) | (1u << 14) | (1u << 17) | (1u << 21);
    private const int GateBytes = 16;
    private const byte InterruptGate = 0x8e, UserInterruptGate = 0xee;
    private readonly ulong _idt;
    private readonly Routine _common;
    private readonly Routine _paranoid;
    private readonly Routine _ignore;

    public Interrupts(KernelCode kernel)
        : base(kernel)
    {
        _idt = kernel.Data.Reserve(256 * GateBytes, 4096);
        IdtRegister = kernel.Data.Reserve(10);
        kernel.Data.WriteUInt16(IdtRegister, (256 * GateBytes) - 1);
        kernel.Data.WriteUInt64(IdtRegister + 2, _idt);
        _common = kernel.Code.Routine("interrupt_common");
        _paranoid = kernel.Code.Routine("interrupt_paranoid");
        _ignore = kernel.Code.Routine("interrupt_ignore");
        Return = kernel.Code.Routine("interrupt_return");
        BeforeUserMode = kernel.Code.Routine("before_user_mode");
    }

    /// <summary>Operand of LIDT.</summary>
    public ulong IdtRegister { get; }

    /// <summary>Jumped to with RSP at a trap frame: goes back to what was interrupted.</summary>
    public Routine Return { get; }

    /// <summary>Called with interrupts off before user mode is entered: other tasks' turn, and the end of a killed task.</summary>
    public Routine BeforeUserMode { get; }

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = Kernel.Assembler;
        for (int vector = 0; vector < ExceptionCount; vector++)
        {
            int stack = vector switch
            {
                NonMaskableVector => ProcessorTables.NonMaskableStack,
                DoubleFaultVector => ProcessorTables.DoubleFaultStack,
                MachineCheckVector => ProcessorTables.MachineCheckStack,
                _ => 0,
            };
            EmitStub(a, vector, stack);
        }

        EmitStub(a, Apic.TimerVector, 0);
        EmitStub(a, Apic.SerialVector, 0);

        // Spurious interrupts of the local APIC and the 8259s get no end-of-interrupt (Intel SDM 3A 10.9).
        a.Here(_ignore);
        a.iretq();
        SetGate(Apic.SpuriousVector, _ignore, 0);
        for (int vector = FirstPicVector; vector <= LastPicVector; vector++) SetGate(vector, _ignore, 0);
        EmitCommon(a);
        EmitReturn(a);
        EmitParanoid(a);
        EmitBeforeUserMode(a);
    }

    private void EmitStub(Assembler a, int vector, int stack)
    {
        Routine stub = Kernel.Code.Routine($"vector_{vector:x2}");
        a.Here(stub);
        if (vector >= ExceptionCount || (WithErrorCode & (1u << vector)) == 0) a.push(0);
        a.push(vector);
        a.jmp(stack == 0 ? _common : _paranoid);
        SetGate(vector, stub, stack);
    }

    /// <summary>A 64-bit interrupt gate (Intel SDM 3A 6.14.1). User programs may execute INT3 themselves.</summary>
    private void SetGate(int vector, Routine target, int stack)
    {
        ulong gate = _idt + (ulong)(vector * GateBytes);
        byte type = vector == BreakpointVector ? UserInterruptGate : InterruptGate;
        Kernel.Code.WhenPlaced(target, address =>
        {
            Kernel.Data.WriteUInt16(gate, (ushort)address);
            Kernel.Data.WriteUInt16(gate + 2, ProcessorTables.KernelCode);
            Kernel.Data.WriteUInt16(gate + 4, (ushort)(stack | (type << 8)));
            Kernel.Data.WriteUInt16(gate + 6, (ushort)(address >> 16));
            Kernel.Data.WriteUInt32(gate + 8, (uint)(address >> 32));
        });
    }

    private void EmitCommon(Assembler a)
    {
        Label fromKernel = a.CreateLabel();
        Label notTimer = a.CreateLabel();
        Label notSerial = a.CreateLabel();
        a.Here(_common);
        a.cld();
        a.test(__byte_ptr[rsp + (TrapFrame.Cs - TrapFrame.Vector)], 3);
        a.jz(fromKernel);
        a.swapgs();
        a.Here(ref fromKernel);
        a.PushAll(TrapFrame.Registers);
        Kernel.UserMemory.EmitForbidAccess(a);
        a.mov(eax, __dword_ptr[rsp + TrapFrame.Vector]);
        a.cmp(eax, Apic.TimerVector);
        a.jne(notTimer);
        Apic.EmitEndOfInterrupt(a);
        a.call(Kernel.Scheduler.TimerInterrupt);
        a.jmp(Return);
        a.Here(ref notTimer);
        a.cmp(eax, Apic.SerialVector);
        a.jne(notSerial);
        Apic.EmitEndOfInterrupt(a);
        a.call(Kernel.Console.Interrupt);
        a.jmp(Return);
        a.Here(ref notSerial);
        a.mov(rdi, rsp);
        a.call(Kernel.Faults.Handle);
        a.jmp(Return);
    }

    private void EmitReturn(Assembler a)
    {
        Label toKernel = a.CreateLabel();
        a.Here(Return);
        a.test(__byte_ptr[rsp + TrapFrame.Cs], 3);
        a.jz(toKernel);
        a.call(BeforeUserMode);
        a.swapgs();
        a.Here(ref toKernel);
        a.PopAll(TrapFrame.Registers);
        a.add(rsp, TrapFrame.Rip - TrapFrame.Vector);
        a.iretq();
    }

    private void EmitParanoid(Assembler a)
    {
        Label kernelBase = a.CreateLabel();
        Label fatal = a.CreateLabel();
        Label noSwap = a.CreateLabel();
        a.Here(_paranoid);
        a.cld();
        a.PushAll(TrapFrame.Registers);
        a.mov(ecx, ModelSpecificRegister.GsBase);
        a.rdmsr();
        a.xor(ebx, ebx);
        a.test(edx, edx);
        a.js(kernelBase);
        a.swapgs();
        a.mov(ebx, 1);
        a.Here(ref kernelBase);
        a.cmp(__dword_ptr[rsp + TrapFrame.Vector], NonMaskableVector);
        a.jne(fatal);
        Print("\nnon-maskable interrupt\n");
        a.test(ebx, ebx);
        a.jz(noSwap);
        a.swapgs();
        a.Here(ref noSwap);
        a.PopAll(TrapFrame.Registers);
        a.add(rsp, TrapFrame.Rip - TrapFrame.Vector);
        a.iretq();
        a.Here(ref fatal);
        a.mov(rdi, rsp);
        a.jmp(Kernel.Faults.Panic);
    }

    private void EmitBeforeUserMode(Assembler a)
    {
        Label check = a.CreateLabel();
        Label done = a.CreateLabel();
        a.Here(BeforeUserMode);
        a.cmp(__dword_ptr[Kernel.Scheduler.NeedsSchedule], 0);
        a.je(check);
        a.call(Kernel.Scheduler.Schedule);
        a.Here(ref check);
        LoadCurrentTask(rax);
        a.cmp(__dword_ptr[rax + TaskLayout.Killed], 0);
        a.je(done);
        a.mov(edi, SystemCalls.KilledExitCode);
        a.call(Kernel.Tasks.Exit);
        a.Here(ref done);
        a.ret();
    }
}
