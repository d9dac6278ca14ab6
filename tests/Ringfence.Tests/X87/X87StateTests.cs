using System.Buffers.Binary;
using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Processors.Instructions.X87;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.X87;

/// <summary>Availability, pending exceptions and the environment images (Intel SDM 1 8.1.10, 8.7; 3A 2.5).</summary>
public sealed unsafe class X87StateTests : IDisposable
{
    private const uint Gdt = 0x1000, Idt = 0x2000, Handlers = 0x30000, Report = 0x40000, Data = 0x20000;
    private const uint NothingRaised = 0;
    private readonly BareProcessor _guest = new();
    private uint _next = BareProcessor.Code;

    public X87StateTests()
    {
        Write(Gdt + 8, 0x00cf_9b00_0000_ffff);
        Write(Gdt + 16, 0x00cf_9300_0000_ffff);
        VcpuState* s = _guest.State;
        s->Gdtr = new DescriptorTableRegister { Base = Gdt, Limit = 23 };
        s->Idtr = new DescriptorTableRegister { Base = Idt, Limit = 0xff };
        s->Segment(SegmentIndex.Cs).Selector = 8;
        s->Segment(SegmentIndex.Ds).Selector = 16;
        s->Segment(SegmentIndex.Ss).Selector = 16;
        for (uint vector = 0; vector < 32; vector++)
        {
            uint handler = Handlers + (vector * 32);
            Write(Idt + (vector * 8), (handler & 0xffff) | 0x8_0000UL | 0x8e00_0000_0000UL | ((ulong)(handler >> 16) << 48));
            uint report = vector + 1;
            _guest.Load(c =>
            {
                c.mov(__dword_ptr[Report], report);
                Stop(c);
            }, handler);
        }
    }

    [EngineTheory]
    [InlineData(Processors.Cr0.Ts, true)]
    [InlineData(Processors.Cr0.Em, true)]
    [InlineData(Processors.Cr0.Mp, false)]
    public void An_instruction_with_ts_or_em_set_raises_device_not_available(ulong bits, bool raised)
    {
        _guest.State->Cr0 |= bits;
        RunToEnd(c => c.fld1()).ShouldBe(raised ? 1u + (uint)ExceptionVector.DeviceNotAvailable : NothingRaised);
    }

    [EngineTheory]
    [InlineData(Processors.Cr0.Ts, false)]
    [InlineData(Processors.Cr0.Em, false)]
    [InlineData(Processors.Cr0.Ts | Processors.Cr0.Mp, true)]
    public void Wait_raises_device_not_available_only_with_both_ts_and_mp(ulong bits, bool raised)
    {
        _guest.State->Cr0 |= bits;
        RunToEnd(c => c.wait()).ShouldBe(raised ? 1u + (uint)ExceptionVector.DeviceNotAvailable : NothingRaised);
    }

    [EngineFact]
    public void An_unmasked_exception_waits_for_the_next_waiting_instruction()
    {
        _guest.State->X87Control = 0x37b;
        RunToEnd(c =>
        {
            c.fld1();
            c.fldz();
            c.fdivp(st1, st0);
            c.fnstsw(ax);
            c.mov(ebx, 1);
        }).ShouldBe(NothingRaised);
        (_guest.State->Gpr[0] & 0xffff).ShouldBe(0xb084UL, "B, ES and ZE; two values still on the stack");
        _guest.State->Gpr[3].ShouldBe(1UL);
        RunToEnd(c => c.fchs()).ShouldBe(1u + (uint)ExceptionVector.FloatingPoint);
        RunToEnd(c => c.fnclex()).ShouldBe(NothingRaised);
        RunToEnd(c => c.fchs()).ShouldBe(NothingRaised);
    }

    [EngineFact]
    public void Loading_a_control_word_that_unmasks_a_raised_exception_makes_it_pending()
    {
        Write(Data, 0x37b);
        RunToEnd(c =>
        {
            c.fld1();
            c.fldz();
            c.fdivp(st1, st0);
            c.fldcw(__word_ptr[Data]);
        }).ShouldBe(NothingRaised);
        _guest.State->X87Status.ShouldBe((ushort)0xb884);
        RunToEnd(c => c.wait()).ShouldBe(1u + (uint)ExceptionVector.FloatingPoint);
    }

    [EngineFact]
    public void The_32_bit_protected_mode_environment_names_the_last_instruction_and_operand()
    {
        uint at = _next;
        RunToEnd(c =>
        {
            c.fld(__dword_ptr[Data]);
            c.fnstenv(__dword_ptr[Data + 64]);
        });
        byte[] image = Read(Data + 64, 28);
        uint[] words = [.. Enumerable.Range(0, 7).Select(i => BinaryPrimitives.ReadUInt32LittleEndian(image.AsSpan(i * 4)))];
        words.ShouldBe([0xffff_037f, 0xffff_3800, 0xffff_7fff, at, 0x0105_0008, Data, 0xffff_0010]);
        _guest.State->X87Control.ShouldBe((ushort)0x37f);
    }

    [EngineFact]
    public void Saving_and_restoring_brings_the_whole_state_back()
    {
        RunToEnd(c =>
        {
            c.fldpi();
            c.fld1();
            c.fldl2e();
            c.fnsave(__dword_ptr[Data + 64]);
            c.fnstsw(ax);
        });
        _guest.State->X87Tag.ShouldBe((byte)0, "FNSAVE initializes the unit");
        RunToEnd(c => c.frstor(__dword_ptr[Data + 64]));
        _guest.State->X87Tag.ShouldBe((byte)0xe0);
        X87Unit.Get(_guest.State, 2).Significand.ShouldBe(0xc90f_daa2_2168_c235);
        X87Unit.Get(_guest.State, 1).Significand.ShouldBe(1UL << 63);
        X87Unit.Get(_guest.State, 0).Significand.ShouldBe(0xb8aa_3b29_5c17_f0bc);
    }

    public void Dispose() => _guest.Dispose();

    /// <summary>Runs a program and says which exception it raised, plus 1.</summary>
    private uint RunToEnd(Action<Assembler> program)
    {
        Write(Report, 0);
        _guest.Load(c =>
        {
            program(c);
            Stop(c);
        }, _next);
        _guest.State->Rip = _next;
        _next += 256;
        _guest.Run(40);
        return _guest.Read(Report);
    }

    private static void Stop(Assembler c)
    {
        Label here = c.CreateLabel();
        c.Label(ref here);
        c.jmp(here);
    }

    private void Write(uint address, ulong value) => _guest.Memory.Write(new(address), BitConverter.GetBytes(value));

    private byte[] Read(uint address, int length)
    {
        byte[] bytes = new byte[length];
        _guest.Memory.Read(new(address), bytes);
        return bytes;
    }
}
