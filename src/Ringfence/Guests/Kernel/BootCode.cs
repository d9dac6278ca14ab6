using Iced.Intel;
using Ringfence.Processors;
using static Iced.Intel.AssemblerRegisters;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Guests.Kernel;

/// <summary>
/// From the boot loader to the first task: the Multiboot entry in 32-bit protected mode without paging (Multiboot
/// specification 3.2), the checks, the switch to long mode (Intel SDM 3A 9.8.5), and the start of each part.
/// </summary>
internal sealed class BootCode(KernelCode kernel) : KernelPart(kernel)
{
    /// <summary>The 32-bit code follows the Multiboot header.</summary>
    public const uint EntryOffset = 16;

    private const uint HeaderMagic = 0x1bad_b002;
    private const uint LoaderMagic = 0x2bad_b002;

    /// <summary>Modules on page boundaries, and the memory's size.</summary>
    private const uint HeaderFlags = 3;
    private const int MemoryFieldsPresent = 1;
    private const int UpperMemoryKibibytes = 8;
    private const int FeatureTsc = 4, FeatureMsr = 5, FeatureApic = 9, FeaturePge = 13, FeatureFxsr = 24, FeatureSse2 = 26;
    private const int FeatureSyscall = 11, FeatureNx = 20, FeatureLongMode = 29;
    private const int FeatureSmep = 7, FeatureSmap = 20, FeatureUmip = 2;
    private readonly ulong _stackTop = kernel.Zeroed.Reserve(4096, 16) + 4096;

    /// <summary>Bytes of memory that are used, written by the 32-bit code.</summary>
    public ulong MemoryEnd { get; } = kernel.Zeroed.Reserve(8);

    private uint Physical(ulong linear) => MemoryMap.ToPhysical(linear);

    /// <summary>The page with the Multiboot header, encoded for its physical address.</summary>
    public byte[] AssembleProtectedMode()
    {
        Assembler a = new(32);
        Label putText = a.CreateLabel("put_text");
        Label noCpuid = a.CreateLabel("no_cpuid");
        Label stop = a.CreateLabel("stop");
        a.dd(HeaderMagic, HeaderFlags, unchecked(0 - HeaderMagic - HeaderFlags));
        a.dd(0u);

        a.cli();
        a.cld();
        a.mov(esp, Physical(_stackTop));
        a.mov(ebp, eax);
        SerialConsole.EmitInitialize(a);
        FailIf(a, stop, "ringfence: not started by a Multiboot boot loader\r\n", failed =>
        {
            a.cmp(ebp, LoaderMagic);
            a.jne(failed);
        });
        FailIf(a, stop, "ringfence: the boot loader does not tell the size of memory\r\n", failed =>
        {
            a.test(__dword_ptr[ebx], MemoryFieldsPresent);
            a.jz(failed);
        });
        FailIf(a, stop, $"ringfence: needs {MemoryMap.LeastMemoryMebibytes} MiB of memory\r\n", failed =>
        {
            a.mov(eax, __dword_ptr[ebx + UpperMemoryKibibytes]);
            a.cmp(eax, (MemoryMap.LeastMemoryMebibytes - 1) << 10);
            a.jb(failed);
        });
        Label fits = a.CreateLabel();
        a.cmp(eax, (MemoryMap.MemoryLimit >> 10) - 1024);
        a.jbe(fits);
        a.mov(eax, (MemoryMap.MemoryLimit >> 10) - 1024);
        a.Here(ref fits);
        a.add(eax, 1024);
        a.shl(eax, 10);
        a.and(eax, -(int)MemoryMap.PageBytes);
        a.mov(__dword_ptr[Physical(MemoryEnd)], eax);

        // A processor has CPUID if EFLAGS.ID can be changed (Intel SDM 1 20.1.1).
        a.pushfd();
        a.pop(eax);
        a.mov(ecx, eax);
        a.xor(eax, (int)RflagsBits.Id);
        a.push(eax);
        a.popfd();
        a.pushfd();
        a.pop(eax);
        a.cmp(eax, ecx);
        a.je(noCpuid);
        FailIf(a, stop, "ringfence: needs a 64-bit processor with NX, SYSCALL, APIC, PGE, FXSR and SSE2\r\n", failed =>
        {
            const int Leaf1 = (1 << FeatureTsc) | (1 << FeatureMsr) | (1 << FeatureApic) | (1 << FeaturePge) | (1 << FeatureFxsr) | (1 << FeatureSse2);
            const int Extended = (1 << FeatureSyscall) | (1 << FeatureNx) | (1 << FeatureLongMode);
            a.mov(eax, 0x8000_0000u);
            a.cpuid();
            a.cmp(eax, 0x8000_0001u);
            a.jb(failed);
            a.mov(eax, 0x8000_0001u);
            a.cpuid();
            a.and(edx, Extended);
            a.cmp(edx, Extended);
            a.jne(failed);
            a.mov(eax, 1);
            a.cpuid();
            a.and(edx, Leaf1);
            a.cmp(edx, Leaf1);
            a.jne(failed);
            a.jmp(a.F);
            a.Here(ref noCpuid);
            a.jmp(failed);
            a.AnonymousLabel();
        });

        // PAE, then CR3, then LME, then PG; NXE before a table with NX is used.
        a.mov(eax, (uint)Cr4.Pae);
        a.mov(cr4, eax);
        a.mov(eax, Physical(Kernel.Processor.PageMap));
        a.mov(cr3, eax);
        a.mov(ecx, ModelSpecificRegister.Efer);
        a.rdmsr();
        a.or(eax, (int)(Efer.Sce | Efer.Lme | Efer.Nxe));
        a.wrmsr();
        a.mov(eax, (uint)(Cr0.Pe | Cr0.Mp | Cr0.Et | Cr0.Ne | Cr0.Wp | Cr0.Am | Cr0.Pg));
        a.mov(cr0, eax);
        a.lgdt(__dword_ptr[Physical(Kernel.Processor.BootGdtRegister)]);
        a.jmp(ProcessorTables.KernelCode, MemoryMap.TextPhysical + MemoryMap.LongModeOffset);

        // ESI: a text that ends with a zero.
        a.Here(ref stop);
        a.Here(ref putText);
        a.mov(edx, SerialConsole.LineStatus);
        a.AnonymousLabel();
        a.@in(al, dx);
        a.test(al, SerialConsole.TransmitterEmpty);
        a.jz(a.B);
        a.lodsb();
        Label halt = a.CreateLabel();
        a.test(al, al);
        a.jz(halt);
        a.mov(edx, SerialConsole.Port);
        a.@out(dx, al);
        a.jmp(putText);
        a.Here(ref halt);
        a.cli();
        a.hlt();
        a.jmp(halt);

        using MemoryStream stream = new();
        a.Assemble(new StreamCodeWriter(stream), MemoryMap.TextPhysical);
        return stream.ToArray();
    }

    private void FailIf(Assembler a, Label stop, string text, Action<Label> check)
    {
        Label failed = a.CreateLabel();
        Label passed = a.CreateLabel();
        check(failed);
        a.jmp(passed);
        a.Here(ref failed);
        a.mov(esi, Physical(Kernel.Code.Constants.Text(text)));
        a.jmp(stop);
        a.Here(ref passed);
    }

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = Kernel.Assembler;
        Label high = a.CreateLabel("long_mode");
        ProcessorTables tables = Kernel.Processor;

        // Reached at the physical address, continued at the linear one.
        a.lea(rax, __[high]);
        a.mov(rcx, MemoryMap.DirectMap);
        a.add(rax, rcx);
        a.jmp(rax);
        a.Here(ref high);
        a.mov(rsp, (long)ProcessorTables.StackTop(0));
        a.lgdt(__[tables.GdtRegister]);
        a.mov(eax, ProcessorTables.KernelData);
        a.mov(ss, eax);
        a.xor(eax, eax);
        a.mov(ds, eax);
        a.mov(es, eax);
        a.mov(fs, eax);
        a.mov(gs, eax);
        a.mov(eax, ProcessorTables.TaskState);
        a.ltr(ax);
        a.lidt(__[Kernel.Interrupts.IdtRegister]);

        // The mapping of low memory goes; writing CR3 flushes what the TLB knows of it.
        a.mov(__qword_ptr[tables.PageMap], 0);
        a.mov(eax, Physical(tables.PageMap));
        a.mov(cr3, rax);
        EmitControlRegisters(a);
        EmitModelSpecificRegisters(a);

        // The console's interrupt comes last: an edge that meets a masked I/O APIC pin is lost.
        a.call(Kernel.Paging.InitializeFrames);
        a.call(Kernel.Apic.Initialize);
        a.call(Kernel.Clock.Calibrate);
        a.call(Kernel.Console.Initialize);
        a.jmp(Kernel.Scheduler.Idle);
    }

    /// <summary>Global pages, SSE, and the protections the processor has.</summary>
    private void EmitControlRegisters(Assembler a)
    {
        Label noStructured = a.CreateLabel();
        Label noSmep = a.CreateLabel();
        Label noSmap = a.CreateLabel();
        Label noUmip = a.CreateLabel();
        a.mov(r8, cr4);
        a.or(r8, (int)(Cr4.Pge | Cr4.Osfxsr | Cr4.Osxmmexcpt));
        a.xor(eax, eax);
        a.cpuid();
        a.cmp(eax, 7);
        a.jb(noStructured);
        a.mov(eax, 7);
        a.xor(ecx, ecx);
        a.cpuid();
        a.bt(ebx, FeatureSmep);
        a.jnc(noSmep);
        a.or(r8, (int)Cr4.Smep);
        a.Here(ref noSmep);
        a.bt(ebx, FeatureSmap);
        a.jnc(noSmap);
        a.or(r8, (int)Cr4.Smap);
        a.mov(__byte_ptr[Kernel.UserMemory.HasSmap], 1);
        a.Here(ref noSmap);
        a.bt(ecx, FeatureUmip);
        a.jnc(noUmip);
        a.or(r8, (int)Cr4.Umip);
        a.Here(ref noUmip);
        a.nop();
        a.Here(ref noStructured);
        a.mov(cr4, r8);
        a.fninit();
    }

    /// <summary>
    /// GS: the kernel's base now, the user's in KERNEL_GS_BASE; SWAPGS exchanges them at each crossing. SYSCALL clears the
    /// flags in FMASK: interrupts are off, string instructions go up, no single step and no alignment check in the kernel.
    /// </summary>
    private void EmitModelSpecificRegisters(Assembler a)
    {
        WriteRegister(a, ModelSpecificRegister.GsBase, Kernel.Processor.Block);
        WriteRegister(a, ModelSpecificRegister.KernelGsBase, 0);
        WriteRegister(a, ModelSpecificRegister.Star, ((ulong)ProcessorTables.UserCode32 << 48) | ((ulong)ProcessorTables.KernelCode << 32));
        WriteRegister(a, ModelSpecificRegister.Fmask, RflagsBits.Tf | RflagsBits.If | RflagsBits.Df | RflagsBits.Nt | RflagsBits.Ac);
        a.lea(rax, __[Kernel.SystemCalls.Entry.Label]);
        a.mov(rdx, rax);
        a.shr(rdx, 32);
        a.mov(ecx, ModelSpecificRegister.Lstar);
        a.wrmsr();
    }

    private static void WriteRegister(Assembler a, uint register, ulong value)
    {
        a.mov(ecx, register);
        a.mov(eax, (uint)value);
        a.mov(edx, (uint)(value >> 32));
        a.wrmsr();
    }
}
