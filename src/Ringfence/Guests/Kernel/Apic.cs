using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.Kernel;

/// <summary>
/// The interrupt controllers: the 8259s are masked, the local APIC (Intel SDM 3A chapter 10, xAPIC mode) delivers its timer
/// and what the I/O APIC sends it: the first serial port's line.
/// </summary>
internal sealed class Apic(KernelCode kernel) : KernelPart(kernel)
{
    public const int TimerVector = 0x40, SerialVector = 0x50, SpuriousVector = 0xff;
    public const ulong InitialCount = MemoryMap.LocalApic + 0x380;
    public const ulong CurrentCount = MemoryMap.LocalApic + 0x390;
    private const ulong IdRegister = MemoryMap.LocalApic + 0x20;
    private const ulong TaskPriority = MemoryMap.LocalApic + 0x80;
    private const ulong EndOfInterruptRegister = MemoryMap.LocalApic + 0xb0;
    private const ulong SpuriousRegister = MemoryMap.LocalApic + 0xf0;
    private const ulong TimerEntry = MemoryMap.LocalApic + 0x320;
    private const ulong DivideConfiguration = MemoryMap.LocalApic + 0x3e0;
    private const int DivideBy16 = 3;
    private const int SoftwareEnable = 0x100;
    private const int Masked = 0x1_0000;
    private const int GlobalEnable = 11;
    private const ulong IoSelect = MemoryMap.IoApic, IoWindow = MemoryMap.IoApic + 0x10;
    private const int IoVersion = 1, IoFirstEntry = 0x10;
    private const int SerialPin = 4;

    public Routine Initialize { get; } = kernel.Code.Routine("apic_initialize");

    /// <summary>Emits the end of an interrupt (10.8.5).</summary>
    public static void EmitEndOfInterrupt(Assembler a) => a.mov(__dword_ptr[EndOfInterruptRegister], 0);

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = Kernel.Assembler;
        a.Here(Initialize);
        EmitMask8259(a);

        a.mov(ecx, ModelSpecificRegister.ApicBase);
        a.rdmsr();
        a.bts(eax, GlobalEnable);
        a.wrmsr();
        a.mov(__dword_ptr[TaskPriority], 0);
        a.mov(__dword_ptr[SpuriousRegister], SoftwareEnable | SpuriousVector);
        a.mov(__dword_ptr[DivideConfiguration], DivideBy16);
        a.mov(__dword_ptr[TimerEntry], TimerVector); // bits 17 and 18 are 0: one-shot

        // Every pin of the I/O APIC masked, then the serial port's sent to this processor: fixed, edge, active high.
        Label next = a.CreateLabel();
        a.mov(__dword_ptr[IoSelect], IoVersion);
        a.mov(ecx, __dword_ptr[IoWindow]);
        a.shr(ecx, 16);
        a.and(ecx, 0xff);
        a.Here(ref next);
        a.lea(eax, __[(rcx * 2) + IoFirstEntry]);
        a.mov(__dword_ptr[IoSelect], eax);
        a.mov(__dword_ptr[IoWindow], Masked);
        a.sub(ecx, 1);
        a.jns(next);
        a.mov(__dword_ptr[IoSelect], IoFirstEntry + (SerialPin * 2) + 1);
        a.mov(eax, __dword_ptr[IdRegister]);
        a.and(eax, 0xff00_0000u);
        a.mov(__dword_ptr[IoWindow], eax);
        a.mov(__dword_ptr[IoSelect], IoFirstEntry + (SerialPin * 2));
        a.mov(__dword_ptr[IoWindow], SerialVector);
        a.ret();
    }

    /// <summary>Initialized to vectors of their own, for their spurious interrupts come in spite of the mask.</summary>
    private static void EmitMask8259(Assembler a)
    {
        ReadOnlySpan<(int Port, int Value)> steps =
        [
            (0x20, 0x11), (0xa0, 0x11), (0x21, 0x20), (0xa1, 0x28), (0x21, 4), (0xa1, 2), (0x21, 1), (0xa1, 1), (0x21, 0xff), (0xa1, 0xff),
        ];
        foreach ((int port, int value) in steps)
        {
            a.mov(al, (byte)value);
            a.@out((byte)port, al);
        }
    }
}
