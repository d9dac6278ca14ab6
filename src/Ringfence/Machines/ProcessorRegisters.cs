using System.Globalization;
using System.Text;
using Ringfence.Processors;

namespace Ringfence.Machines;

/// <summary>A copy of one processor's registers at one moment, between two instructions.</summary>
public sealed unsafe class ProcessorRegisters
{
    private static readonly string[] GeneralNames =
        ["RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"];

    private readonly ulong[] _general = new ulong[16];
    private readonly SegmentRegister[] _segments = new SegmentRegister[10];
    private readonly UInt128[] _xmm = new UInt128[16];

    internal ProcessorRegisters(Processor processor)
    {
        VcpuState* s = processor.State;
        for (int i = 0; i < 16; i++)
        {
            _general[i] = s->Gpr[i];
            _xmm[i] = new UInt128(s->Xmm[(2 * i) + 1], s->Xmm[2 * i]);
        }

        for (int i = 0; i < _segments.Length; i++) _segments[i] = s->Segment((SegmentIndex)i);
        Rip = s->Rip;
        Rflags = s->Rflags;
        Cr0 = s->Cr0;
        Cr2 = s->Cr2;
        Cr3 = s->Cr3;
        Cr4 = s->Cr4;
        Efer = s->Efer;
        Gdtr = s->Gdtr;
        Idtr = s->Idtr;
        Cpl = s->Cpl;
        Mode = s->Mode;
        Activity = s->Activity;
        InstructionCount = s->InstructionCount;
    }

#pragma warning disable CS1591 // the manual's names (Intel SDM 1 3.4)
    public ulong Rax => _general[0];
    public ulong Rcx => _general[1];
    public ulong Rdx => _general[2];
    public ulong Rbx => _general[3];
    public ulong Rsp => _general[4];
    public ulong Rbp => _general[5];
    public ulong Rsi => _general[6];
    public ulong Rdi => _general[7];
    public ulong R8 => _general[8];
    public ulong R9 => _general[9];
    public ulong R10 => _general[10];
    public ulong R11 => _general[11];
    public ulong R12 => _general[12];
    public ulong R13 => _general[13];
    public ulong R14 => _general[14];
    public ulong R15 => _general[15];
    public ulong Rip { get; }
    public ulong Rflags { get; }
    public ulong Cr0 { get; }
    public ulong Cr2 { get; }
    public ulong Cr3 { get; }
    public ulong Cr4 { get; }
    public ulong Efer { get; }
    public DescriptorTableRegister Gdtr { get; }
    public DescriptorTableRegister Idtr { get; }
#pragma warning restore CS1591

    /// <summary>Current privilege level, 0 to 3.</summary>
    public int Cpl { get; }

    /// <summary>What the processor executes.</summary>
    public ProcessorMode Mode { get; }

    /// <summary>Whether it executes at all.</summary>
    public ActivityState Activity { get; }

    /// <summary>Instructions executed since power-on, as far as <see cref="MachineStatistics.Instructions"/> counts them.</summary>
    public ulong InstructionCount { get; }

    /// <summary>General register 0 to 15, in the order of their encoding.</summary>
    public ulong this[int index] => _general[index];

    /// <summary>A segment register with its hidden part.</summary>
    public SegmentRegister Segment(SegmentIndex index) => _segments[(int)index];

    /// <summary>XMM0 to XMM15.</summary>
    public UInt128 Xmm(int index) => _xmm[index];

    /// <summary>The linear address of the next instruction.</summary>
    public ulong InstructionAddress => Mode == ProcessorMode.Long
        ? Rip
        : (uint)(Rip + _segments[(int)SegmentIndex.Cs].Base);

    /// <summary>Operand size of the code segment: 16, 32 or 64.</summary>
    public int CodeBits => Mode == ProcessorMode.Long ? 64 : _segments[(int)SegmentIndex.Cs].IsBig ? 32 : 16;

    /// <summary>All of it, for people.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        for (int i = 0; i < 16; i += 4)
        {
            for (int j = i; j < i + 4; j++) text.Append(CultureInfo.InvariantCulture, $"{GeneralNames[j],-3}={_general[j]:x16}{(j < i + 3 ? " " : "\n")}");
        }

        text.Append(CultureInfo.InvariantCulture, $"RIP={Rip:x16} RFLAGS={Rflags:x8} CPL={Cpl} {Mode} {Activity}\n");
        for (SegmentIndex i = SegmentIndex.Es; i <= SegmentIndex.Tr; i++)
        {
            if (i is SegmentIndex.Flat or SegmentIndex.FlatStack) continue;
            SegmentRegister segment = _segments[(int)i];
            text.Append(CultureInfo.InvariantCulture, $"{i.ToString().ToUpperInvariant(),-4}={segment.Selector:x4} base={segment.Base:x16} limit={segment.Limit:x8} attributes={segment.Attributes:x4}\n");
        }

        text.Append(CultureInfo.InvariantCulture, $"GDTR={Gdtr.Base:x16}:{Gdtr.Limit:x4} IDTR={Idtr.Base:x16}:{Idtr.Limit:x4}\n");
        text.Append(CultureInfo.InvariantCulture, $"CR0={Cr0:x8} CR2={Cr2:x16} CR3={Cr3:x16} CR4={Cr4:x8} EFER={Efer:x4}");
        return text.ToString();
    }
}
