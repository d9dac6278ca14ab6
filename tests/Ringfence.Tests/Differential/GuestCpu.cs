using System.Buffers.Binary;
using Ringfence.Execution;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Processors.Exits;

namespace Ringfence.Tests.Differential;

/// <summary>
/// Executes single instructions in the current engine: a processor in long mode at CPL 3 whose page tables put <see cref="TestMap"/> at the
/// addresses it has on the host, with the selectors a Linux process has. Behind the instruction stands HLT, whose #GP ends the case;
/// every exception goes through the IDT to a HLT at CPL 0, so that delivery is part of what is compared.
/// </summary>
internal sealed unsafe class GuestCpu : IDisposable
{
    // Physical layout: tables of the processor first, then TestMap at TestPhysical.
    private const uint Pml4 = 0x1000;
    private const uint LowPdpt = 0x2000;
    private const uint LowDirectory = 0x3000;
    private const uint LowTable = 0x4000;
    private const uint HighPdpt = 0x5000;
    private const uint HighDirectory = 0x6000;
    private const uint Gdt = 0x7000;
    private const uint Idt = 0x8000;
    private const uint Tss = 0x9000;
    private const uint Handlers = 0xa000;
    private const uint KernelStackTop = 0xc000;
    private const uint TestPhysical = 0x10_0000;
    private const ulong KernelBase = 0xffff_8000_0000_0000;
    private const ushort KernelCode = 0x08;
    private const int HandlerBytes = 16;
    private const byte Hlt = 0xf4;
    private const ulong InstructionBudget = 10_000;

    private readonly PhysicalMemory _memory = new(4 << 20);
    private readonly Processor _processor;
    private readonly IExecutionEngine _engine;
    private readonly ulong _base;
    private SegmentFile _segments64;
    private SegmentFile _segments32;
    private bool _is64 = true;
    private ulong _start;
    private ulong _fallThrough;
    private ulong _branchTarget;

    /// <summary>Makes the processor.</summary>
    /// <param name="mapBase">First linear address of <see cref="TestMap"/>.</param>
    public GuestCpu(ulong mapBase)
    {
        _base = mapBase;
        _processor = new Processor(0, _memory, new NoBus());
        _memory.CodeWritten = (frame, _) =>
        {
            _processor.StaleCode.Enqueue(frame);
            _processor.Post(ProcessorEvents.FlushCode);
        };
        WriteTables();
        EnterLongMode();
        _engine = Engines.Create(_processor);
    }

    /// <summary>The processor, for tests that look deeper.</summary>
    public Processor Processor => _processor;

    /// <summary>Places an instruction, as <see cref="HostCpu.SetCode"/> does.</summary>
    public void SetCode(uint offset, ReadOnlySpan<byte> instruction, uint branchTarget, int bitness)
    {
        byte[] code = new byte[TestMap.CodeBytes];
        Array.Fill(code, Hlt);
        instruction.CopyTo(code.AsSpan((int)offset));
        _memory.Write(new GuestPhysical(TestPhysical + TestMap.Code), code);
        _start = _base + offset;
        _fallThrough = _start + (ulong)instruction.Length;
        _branchTarget = branchTarget == 0 ? 0 : _base + branchTarget;
        _is64 = bitness == 64;
    }

    /// <summary>Executes the instruction once. The answer is null, or why the engine did not come to an end.</summary>
    public string? Run(in CpuImage before, out CpuImage after)
    {
        VcpuState* s = _processor.State;
        fixed (CpuImage* image = &before) Load(s, image);
        s->Segments = _is64 ? _segments64 : _segments32;
        s->Cpl = 3;
        s->Rip = _start;
        s->FaultPending = 0;
        s->InterruptShadow = 0;
        s->Activity = ActivityState.Active;
        s->InstructionLimit = s->InstructionCount + InstructionBudget;
        s->Cr2 = 0;
        _processor.RefreshMode();

        ExitReason reason = _engine.Run();

        fixed (CpuImage* image = &after) Save(s, image);
        if (reason != ExitReason.Halt || s->Cpl != 0) return $"the engine left with {reason} at CPL {s->Cpl}, RIP 0x{s->Rip:x}";
        ulong handler = s->Rip - 1 - KernelBase - Handlers;
        int vector = (int)(handler / HandlerBytes);
        if (handler % HandlerBytes != 0 || vector > 31) return $"halted at 0x{s->Rip:x}";
        TakeFrame(vector, ref after);
        return null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _engine.Dispose();
        _processor.Dispose();
        _memory.Dispose();
    }

    private static bool HasErrorCode(int vector) => vector is 8 or (>= 10 and <= 14) or 17;

    /// <summary>What the exception pushed is the state at the end of the instruction.</summary>
    private void TakeFrame(int vector, ref CpuImage after)
    {
        ulong* top = (ulong*)(_memory.HostBase + KernelStackTop);
        after.Rip = top[-5];
        after.Rflags = top[-3] & ~RflagsBits.Rf;
        after.Gpr[4] = top[-2];
        after.Vector = vector;
        after.ErrorCode = HasErrorCode(vector) ? top[-6] : 0;
        after.FaultAddress = vector == (int)ExceptionVector.PageFault ? _processor.State->Cr2 : 0;
        bool ended = after.Rip == _fallThrough || (_branchTarget != 0 && after.Rip == _branchTarget);
        if (vector != (int)ExceptionVector.GeneralProtection || !ended) return;
        after.Vector = CpuImage.NoFault;
        after.ErrorCode = 0;
    }

    private void Load(VcpuState* s, CpuImage* image)
    {
        for (int i = 0; i < 16; i++) s->Gpr[i] = image->Gpr[i];
        s->Rflags = image->Rflags;
        byte* fx = image->Fx;
        s->X87Control = *(ushort*)fx;
        s->X87Status = *(ushort*)(fx + 2);
        s->X87Tag = fx[4];
        s->Mxcsr = *(uint*)(fx + 24);
        int top = (s->X87Status >> 11) & 7;
        for (int i = 0; i < 8; i++)
        {
            int register = (top + i) & 7;
            s->X87Significand[register] = *(ulong*)(fx + 32 + (i * 16));
            s->X87SignExponent[register] = *(ushort*)(fx + 40 + (i * 16));
        }

        Buffer.MemoryCopy(fx + 160, s->Xmm, 256, 256);
        foreach ((uint start, int length, int imageOffset) in TestMap.Windows)
            Buffer.MemoryCopy(image->Memory + imageOffset, _memory.HostBase + TestPhysical + start, length, length);
    }

    private void Save(VcpuState* s, CpuImage* image)
    {
        *image = default;
        for (int i = 0; i < 16; i++) image->Gpr[i] = s->Gpr[i];
        byte* fx = image->Fx;
        *(ushort*)fx = s->X87Control;
        *(ushort*)(fx + 2) = s->X87Status;
        fx[4] = s->X87Tag;
        *(uint*)(fx + 24) = s->Mxcsr;
        int top = (s->X87Status >> 11) & 7;
        for (int i = 0; i < 8; i++)
        {
            int register = (top + i) & 7;
            *(ulong*)(fx + 32 + (i * 16)) = s->X87Significand[register];
            *(ushort*)(fx + 40 + (i * 16)) = s->X87SignExponent[register];
        }

        Buffer.MemoryCopy(s->Xmm, fx + 160, 256, 256);
        foreach ((uint start, int length, int imageOffset) in TestMap.Windows)
            Buffer.MemoryCopy(_memory.HostBase + TestPhysical + start, image->Memory + imageOffset, length, length);
    }

    private void WriteTables()
    {
        const ulong User = 0x67;        // present, writable, user, accessed, dirty
        const ulong Kernel = 0x63;
        Write64(Pml4, LowPdpt | User);
        Write64(Pml4 + (256 * 8), HighPdpt | Kernel);
        Write64(LowPdpt + (uint)((_base >> 30) * 8), LowDirectory | User);
        Write64(LowDirectory + (uint)(((_base >> 21) & 511) * 8), LowTable | User);
        Map(TestMap.Code, TestMap.CodeBytes, User & ~2UL);
        Map(TestMap.Data, 0x2000, User | (1UL << 63));
        Map(TestMap.Edge, 0x2000, User | (1UL << 63));
        Map(TestMap.ReadOnly, 0x1000, (User & ~2UL) | (1UL << 63));
        Map(TestMap.Stack, 0x2000, User | (1UL << 63));
        Write64(HighPdpt, HighDirectory | Kernel);
        Write64(HighDirectory, Kernel | 0x80);

        // The selectors of a Linux process: 23h 32-bit code, 2Bh data, 33h 64-bit code.
        Write64(Gdt + KernelCode, 0x00af_9b00_0000_ffff);
        Write64(Gdt + 0x20, 0x00cf_fb00_0000_ffff);
        Write64(Gdt + 0x28, 0x00cf_f300_0000_ffff);
        Write64(Gdt + 0x30, 0x00af_fb00_0000_ffff);
        for (uint vector = 0; vector < 32; vector++)
        {
            ulong handler = KernelBase + Handlers + (vector * HandlerBytes);
            ulong gate = vector is 3 or 4 ? 0xeeUL : 0x8eUL;    // INT3 and INTO are for users, too
            Write64(Idt + (vector * 16), (handler & 0xffff) | ((ulong)KernelCode << 16) | (gate << 40) | ((handler >> 16 & 0xffff) << 48));
            Write64(Idt + (vector * 16) + 8, handler >> 32);
            _memory.Write(new GuestPhysical(Handlers + (vector * HandlerBytes)), [Hlt]);
        }

        Write64(Tss + 4, KernelBase + KernelStackTop);
        Write64(Tss + 0x60, 0x68UL << 48);  // no I/O bitmap
    }

    private void Map(uint offset, uint length, ulong bits)
    {
        for (uint page = offset; page < offset + length; page += 0x1000)
            Write64(LowTable + (uint)((((_base + page) >> 12) & 511) * 8), (TestPhysical + page) | bits);
    }

    private void Write64(uint physical, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        _memory.Write(new GuestPhysical(physical), bytes);
    }

    private void EnterLongMode()
    {
        VcpuState* s = _processor.State;
        s->Cr0 = Cr0.Pe | Cr0.Mp | Cr0.Et | Cr0.Ne | Cr0.Wp | Cr0.Am | Cr0.Pg;
        s->Cr3 = Pml4;
        s->Cr4 = Cr4.Pae | Cr4.Pge | Cr4.Osfxsr | Cr4.Osxmmexcpt | Cr4.Umip;
        s->Efer = Efer.Sce | Efer.Lme | Efer.Lma | Efer.Nxe;
        s->Gdtr = new DescriptorTableRegister { Base = KernelBase + Gdt, Limit = 0xff };
        s->Idtr = new DescriptorTableRegister { Base = KernelBase + Idt, Limit = 0xfff };
        const ushort Data = 0xc0f3;
        const ushort Null = SegmentAttributes.Unusable;
        Set(SegmentIndex.Tr, 0x40, 0x8b, KernelBase + Tss, 0x67);
        Set(SegmentIndex.Ldtr, 0, Null, 0, 0);
        Set(SegmentIndex.Fs, 0, Null, 0, 0);
        Set(SegmentIndex.Gs, 0, Null, 0, 0);
        Set(SegmentIndex.Ss, 0x2b, Data, 0, uint.MaxValue);
        Set(SegmentIndex.Cs, 0x23, 0xc0fb, 0, uint.MaxValue);
        Set(SegmentIndex.Ds, 0x2b, Data, 0, uint.MaxValue);
        Set(SegmentIndex.Es, 0x2b, Data, 0, uint.MaxValue);
        _segments32 = s->Segments;
        Set(SegmentIndex.Cs, 0x33, 0xa0fb, 0, uint.MaxValue);
        Set(SegmentIndex.Ds, 0, Null, 0, 0);
        Set(SegmentIndex.Es, 0, Null, 0, 0);
        _segments64 = s->Segments;
        s->Cpl = 3;
        _processor.Mmu.Flush();
        _processor.RefreshMode();

        void Set(SegmentIndex index, ushort selector, ushort attributes, ulong start, uint limit) =>
            _processor.State->Segment(index) = new SegmentRegister(selector, start, limit, attributes);
    }
}
