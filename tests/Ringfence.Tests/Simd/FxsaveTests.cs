using System.Runtime.InteropServices;
using Iced.Intel;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Tests.FloatingPoint;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Simd;

public sealed unsafe class FxsaveTests : IDisposable
{
    private static readonly MemoryOperand Area = new(Register.RDI, 0L, 8);
    private readonly SimdGuest _guest = new();

    [EngineFact]
    public void The_area_has_the_layout_of_the_manual()
    {
        VcpuState* s = _guest.State;
        SetState(s);
        Execute(Code.Fxsave_m512byte);
        byte[] area = Read();
        BitConverter.ToUInt16(area, 0).ShouldBe((ushort)0x27f);
        BitConverter.ToUInt16(area, 2).ShouldBe((ushort)(5 << 11));
        area[4].ShouldBe((byte)0b1110_0000);
        area[5].ShouldBe((byte)0);
        BitConverter.ToUInt16(area, 6).ShouldBe((ushort)0x123);
        BitConverter.ToUInt32(area, 8).ShouldBe(0x5566_7788u);
        BitConverter.ToUInt16(area, 12).ShouldBe((ushort)0x10);
        BitConverter.ToUInt32(area, 16).ShouldBe(0x1357_9bdfu);
        BitConverter.ToUInt16(area, 20).ShouldBe((ushort)0x18);
        BitConverter.ToUInt32(area, 24).ShouldBe(0x1fa0u);
        BitConverter.ToUInt32(area, 28).ShouldBe(0xffffu);
        for (int i = 0; i < 8; i++)
        {
            int physical = (5 + i) & 7;
            BitConverter.ToUInt64(area, 32 + (i * 16)).ShouldBe(s->X87Significand[physical]);
            BitConverter.ToUInt64(area, 40 + (i * 16)).ShouldBe((ulong)s->X87SignExponent[physical]);
        }

        for (int i = 0; i < 32; i++) BitConverter.ToUInt64(area, 160 + (i * 8)).ShouldBe(s->Xmm[i]);
        area.AsSpan(416).ToArray().ShouldAllBe(b => b == 0xee);
    }

    [EngineFact]
    public void Fxsave64_stores_64_bit_pointers_instead_of_selectors()
    {
        SetState(_guest.State);
        Execute(Code.Fxsave64_m512byte);
        byte[] area = Read();
        BitConverter.ToUInt64(area, 8).ShouldBe(0x1122_3344_5566_7788UL);
        BitConverter.ToUInt64(area, 16).ShouldBe(0xfedc_ba98_1357_9bdfUL);
    }

    [EngineFact]
    public void Restoring_what_was_saved_brings_everything_back()
    {
        VcpuState* s = _guest.State;
        SetState(s);
        Execute(Code.Fxsave64_m512byte);
        byte[] before = Read();
        for (int i = 0; i < 32; i++) s->Xmm[i] = 0;
        for (int i = 0; i < 8; i++) s->X87Significand[i] = 0;
        s->X87Status = s->X87Control = 0;
        s->X87Tag = 0;
        s->Mxcsr = 0;
        Execute(Code.Fxrstor64_m512byte);
        Execute(Code.Fxsave64_m512byte);
        Read().ShouldBe(before);
    }

    [EngineFact]
    public void Restoring_reserved_bits_of_mxcsr_is_general_protection_and_loads_nothing()
    {
        VcpuState* s = _guest.State;
        SetState(s);
        Execute(Code.Fxsave64_m512byte);
        _guest.Memory.Write(new GuestPhysical(SimdGuest.Data + 26), [1]);
        s->Xmm[0] = 99;
        _guest.Load(Instruction.Create(Code.Fxrstor64_m512byte, Area));
        _guest.Execute().ShouldBeFalse();
        _guest.Fault.ShouldBe((ExceptionVector.GeneralProtection, 0u));
        s->Xmm[0].ShouldBe(99UL);
    }

    [EngineFact]
    public void An_area_not_aligned_on_16_bytes_is_general_protection()
    {
        SetState(_guest.State);
        _guest.State->Gpr[7] += 8;
        _guest.Load(Instruction.Create(Code.Fxsave_m512byte, Area));
        _guest.Execute().ShouldBeFalse();
        _guest.Fault.ShouldBe((ExceptionVector.GeneralProtection, 0u));
    }

    [EngineFact]
    public void An_area_saved_by_the_host_saves_the_same_after_being_restored()
    {
        Skip.IfNot(HostCode.IsSupported);
        byte* area = (byte*)NativeMemory.AlignedAlloc(512, 64);
        new Span<byte>(area, 512).Fill(0xee);
        using var host = new HostCode(a =>
        {
            a.fninit();
            a.fldpi();
            a.fldz();
            a.fld1();
            a.fxsave64(__[rdi]);
            a.fninit();
            a.ret();
        });
        host.Call(area);
        // The mask of MXCSR's bits is the host's own; pointers of the last instruction may be kept or not.
        *(uint*)(area + 28) = 0xffff;
        _guest.Memory.Write(new GuestPhysical(SimdGuest.Data), new ReadOnlySpan<byte>(area, 512));
        _guest.State->Gpr[7] = SimdGuest.Data;
        Execute(Code.Fxrstor64_m512byte);
        _guest.State->X87Tag.ShouldBe((byte)0b1110_0000);
        _guest.State->X87SignExponent[5].ShouldBe((ushort)0x3fff);
        _guest.State->X87SignExponent[6].ShouldBe((ushort)0);
        _guest.State->X87SignExponent[7].ShouldBe((ushort)0x4000);
        _guest.Memory.Write(new GuestPhysical(SimdGuest.Data), new byte[416]);
        Execute(Code.Fxsave64_m512byte);
        Read().AsSpan(0, 416).ToArray().ShouldBe(new Span<byte>(area, 416).ToArray());
        NativeMemory.AlignedFree(area);
    }

    public void Dispose() => _guest.Dispose();

    private static void SetState(VcpuState* s)
    {
        s->Gpr[7] = SimdGuest.Data;
        s->X87Control = 0x27f;
        s->X87Status = 5 << 11;
        s->X87Tag = 0b1110_0000;
        s->X87Opcode = 0x123;
        s->X87InstructionPointer = 0x1122_3344_5566_7788;
        s->X87InstructionSelector = 0x10;
        s->X87DataPointer = 0xfedc_ba98_1357_9bdf;
        s->X87DataSelector = 0x18;
        s->Mxcsr = 0x1fa0;
        for (int i = 0; i < 8; i++)
        {
            s->X87Significand[i] = 0x8000_0000_0000_0000 + (ulong)i;
            s->X87SignExponent[i] = (ushort)(0x3ff0 + i);
        }

        for (int i = 0; i < 32; i++) s->Xmm[i] = 0x0101_0101_0101_0101UL * (ulong)(i + 1);
    }

    private void Execute(Code code)
    {
        if (code is Code.Fxsave_m512byte or Code.Fxsave64_m512byte && _guest.State->Gpr[7] == SimdGuest.Data)
        {
            byte[] filler = new byte[512];
            Array.Fill(filler, (byte)0xee);
            _guest.Memory.Write(new GuestPhysical(SimdGuest.Data), filler);
        }

        _guest.Load(Instruction.Create(code, Area));
        _guest.Execute().ShouldBeTrue();
    }

    private byte[] Read()
    {
        byte[] area = new byte[512];
        _guest.Memory.Read(new GuestPhysical(SimdGuest.Data), area);
        return area;
    }
}
