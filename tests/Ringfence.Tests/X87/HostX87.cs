using System.Runtime.InteropServices;
using Ringfence.Processors;
using Ringfence.Tests.FloatingPoint;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.X87;

/// <summary>
/// One x87 instruction with a register operand, or the memory operand [RSI] or [ESI] (the same bytes), on the host's x87 unit
/// and in the interpreter, from the same state.
/// </summary>
internal sealed unsafe class HostX87 : IDisposable
{
    private const int Output = 512;
    private const int Operand = 1024;
    private const int FlagsIn = 1280;
    private const int FlagsOut = 1288;
    private const int Accumulator = 1296;
    private const int FrameBytes = 2048;
    private const uint GuestOperand = 0x20000;

    private readonly BareProcessor _guest = new();
    private readonly byte* _frame = (byte*)NativeMemory.AlignedAlloc(FrameBytes, 64);
    private HostCode? _code;
    private uint _guestCode = BareProcessor.Code;

    public HostX87() => NativeMemory.Clear(_frame, FrameBytes);

    public VcpuState* Guest => _guest.State;

    /// <summary>What the host's unit left, as FXSAVE stores it.</summary>
    public ushort HostControl => *(ushort*)(_frame + Output);

    public ushort HostStatus => *(ushort*)(_frame + Output + 2);

    public byte HostTag => _frame[Output + 4];

    public ulong HostFlags => *(ulong*)(_frame + FlagsOut) & Processors.RflagsBits.Status;

    public ulong HostAccumulator => *(ulong*)(_frame + Accumulator);

    public Span<byte> HostOperand => new(_frame + Operand, 128);

    public byte[] GuestOperandBytes
    {
        get
        {
            byte[] bytes = new byte[128];
            _guest.Memory.Read(new(GuestOperand), bytes);
            return bytes;
        }
    }

    public ulong HostSignificand(int i) => *(ulong*)(_frame + Output + 32 + (i * 16));

    public ushort HostSignExponent(int i) => *(ushort*)(_frame + Output + 40 + (i * 16));

    /// <summary>Prepares both sides for an instruction.</summary>
    public void Load(byte[] instruction)
    {
        _code?.Dispose();
        _code = new HostCode(c =>
        {
            c.lea(rsi, __[rdi + Operand]);
            c.fxrstor(__[rdi]);
            c.push(__qword_ptr[rdi + FlagsIn]);
            c.popfq();
            c.mov(rax, __qword_ptr[rdi + Accumulator]);
            c.db(instruction);
            c.mov(__qword_ptr[rdi + Accumulator], rax);
            c.pushfq();
            c.pop(__qword_ptr[rdi + FlagsOut]);
            c.fxsave(__[rdi + Output]);
            c.fninit();
            c.ret();
        });
        _guestCode += 16;        // the interpreter keeps what it has decoded
        _guest.Load(c =>
        {
            c.db(instruction);
            var here = c.CreateLabel();
            c.Label(ref here);
            c.jmp(here);
        }, _guestCode);
        _guest.State->Gpr[6] = GuestOperand;
    }

    /// <summary>Runs the instruction on both sides from the guest's present x87 state, RFLAGS and RAX, and these operand bytes.</summary>
    public void Execute(ReadOnlySpan<byte> operand)
    {
        VcpuState* s = _guest.State;
        *(ushort*)_frame = s->X87Control;
        *(ushort*)(_frame + 2) = s->X87Status;
        _frame[4] = s->X87Tag;
        *(uint*)(_frame + 24) = 0x1f80;
        int top = s->X87Status >> 11 & 7;
        for (int i = 0; i < 8; i++)
        {
            *(ulong*)(_frame + 32 + (i * 16)) = s->X87Significand[(top + i) & 7];
            *(ushort*)(_frame + 40 + (i * 16)) = s->X87SignExponent[(top + i) & 7];
        }

        *(ulong*)(_frame + FlagsIn) = s->Rflags;
        *(ulong*)(_frame + Accumulator) = s->Gpr[0];
        operand.CopyTo(HostOperand);
        _guest.Memory.Write(new(GuestOperand), operand);
        _code!.Call(_frame);
        s->Rip = _guestCode;
        _guest.Run(1);
    }

    public void Dispose()
    {
        _code?.Dispose();
        _guest.Dispose();
        NativeMemory.AlignedFree(_frame);
    }
}
