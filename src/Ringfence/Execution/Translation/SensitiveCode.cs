using Ringfence.Processors;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Execution.Translation;

/// <summary>The fixed pieces of host code for sensitive instructions, assembled once; the rules are those of <see cref="HostCode"/>.</summary>
internal static class SensitiveCode
{
    private const int StatusInLow = 0xd5;
    private const int OverflowBit = 11;
    private const int InterruptBit = 9;

    /// <summary>R14 = RFLAGS as PUSHF stores it, from the saved status flags. Changes R13.</summary>
    public static byte[] ComposeFlags { get; } = HostCode.Assemble(c =>
    {
        c.movzx(r14d, __byte_ptr.gs[StateOffsets.Flags]);
        c.shl(r14d, OverflowBit);
        c.movzx(r13d, __byte_ptr.gs[StateOffsets.Flags + 1]);
        c.and(r13d, StatusInLow);
        c.or(r14d, r13d);
        c.or(r14, __qword_ptr.gs[StateOffsets.SystemFlags]);
    });

    /// <summary>
    /// First half of POPF at CPL 0 with the popped value in R15: "not zero" if it changes more than status flags, DF and IF. Changes R14.
    /// </summary>
    public static byte[] CompareFlags { get; } = HostCode.Assemble(c =>
    {
        c.mov(r14, __qword_ptr.gs[StateOffsets.SystemFlags]);
        c.xor(r14d, r15d);
        c.test(r14d, (int)(RflagsBits.Tf | RflagsBits.Iopl | RflagsBits.Nt | RflagsBits.Ac | RflagsBits.Id));
    });

    /// <summary>The same for CPL 3, where IF must stay as it is and IOPL is ignored.</summary>
    public static byte[] CompareUserFlags { get; } = HostCode.Assemble(c =>
    {
        c.mov(r14, __qword_ptr.gs[StateOffsets.SystemFlags]);
        c.xor(r14d, r15d);
        c.test(r14d, (int)(RflagsBits.Tf | RflagsBits.If | RflagsBits.Nt | RflagsBits.Ac | RflagsBits.Id));
    });

    /// <summary>R14D = the event mask that goes with the IF of R15; "not zero" if an event would be taken with it.</summary>
    public static byte[] CompareEvents { get; } = HostCode.Assemble(c =>
    {
        c.mov(r14d, r15d);
        c.shr(r14d, InterruptBit);
        c.and(r14d, 1);
        c.add(r14d, ~ProcessorEvents.Interrupt);
        c.test(__dword_ptr.gs[StateOffsets.Events], r14d);
    });

    /// <summary>Makes R14D the event mask.</summary>
    public static byte[] StoreEventMask { get; } = HostCode.Assemble(c => c.mov(__dword_ptr.gs[StateOffsets.EventMask], r14d));

    /// <summary>Takes IF and DF of R15. Changes R14.</summary>
    public static byte[] TakeSystemFlags { get; } = HostCode.Assemble(c => EmitTakeSystemFlags(c, RflagsBits.If | RflagsBits.Df));

    /// <summary>Takes DF of R15. Changes R14.</summary>
    public static byte[] TakeDirection { get; } = HostCode.Assemble(c => EmitTakeSystemFlags(c, RflagsBits.Df));

    /// <summary>Saves R15's status flags as the guest's. Changes R14.</summary>
    public static byte[] TakeStatusFlags { get; } = HostCode.Assemble(c =>
    {
        c.mov(r14d, r15d);
        c.shr(r14d, OverflowBit);
        c.and(r14d, 1);
        c.mov(__byte_ptr.gs[StateOffsets.Flags], r14b);
        c.and(r15d, StatusInLow);
        c.or(r15d, 2);
        c.mov(__byte_ptr.gs[StateOffsets.Flags + 1], r15b);
    });

    /// <summary>CLD.</summary>
    public static byte[] ClearDirection { get; } =
        HostCode.Assemble(c => c.and(__dword_ptr.gs[StateOffsets.SystemFlags], ~(int)RflagsBits.Df));

    /// <summary>STD.</summary>
    public static byte[] SetDirection { get; } = HostCode.Assemble(c => c.or(__dword_ptr.gs[StateOffsets.SystemFlags], (int)RflagsBits.Df));

    /// <summary>"Not zero" if DF is set.</summary>
    public static byte[] TestDirection { get; } = HostCode.Assemble(c => c.test(__dword_ptr.gs[StateOffsets.SystemFlags], (int)RflagsBits.Df));

    /// <summary>CLAC's change of RFLAGS.</summary>
    public static byte[] ClearAccess { get; } = HostCode.Assemble(c => c.and(__dword_ptr.gs[StateOffsets.SystemFlags], ~(int)RflagsBits.Ac));

    /// <summary>STAC's change of RFLAGS.</summary>
    public static byte[] SetAccess { get; } = HostCode.Assemble(c => c.or(__dword_ptr.gs[StateOffsets.SystemFlags], (int)RflagsBits.Ac));

    /// <summary>Makes the immediate the mode that translated code runs in. Hole: the mode.</summary>
    public static byte[] SetMode { get; } = HostCode.Assemble(c => c.mov(__dword_ptr.gs[StateOffsets.Mode], 0x1122_3344));

    /// <summary>SWAPGS. Changes R14 and R15.</summary>
    public static byte[] SwapGs { get; } = HostCode.Assemble(c =>
    {
        c.mov(r14, __qword_ptr.gs[StateOffsets.SegmentBase(SegmentIndex.Gs)]);
        c.mov(r15, __qword_ptr.gs[StateOffsets.KernelGsBase]);
        c.mov(__qword_ptr.gs[StateOffsets.KernelGsBase], r14);
        c.mov(__qword_ptr.gs[StateOffsets.SegmentBase(SegmentIndex.Gs)], r15);
    });

    /// <summary>"Zero" if CR4.FSGSBASE is clear.</summary>
    public static byte[] TestBaseInstructions { get; } = HostCode.Assemble(c => c.test(__dword_ptr.gs[StateOffsets.Cr4], (int)Cr4.Fsgsbase));

    /// <summary>"Not equal" if R14D is no value for MXCSR with all exceptions masked. Changes R13.</summary>
    public static byte[] CompareMxcsr { get; } = HostCode.Assemble(c =>
    {
        c.mov(r13d, r14d);
        c.and(r13d, unchecked((int)0xffff_1f80));
        c.cmp(r13d, 0x1f80);
    });

    /// <summary>Loads MXCSR from R14D.</summary>
    public static byte[] LoadMxcsr { get; } = HostCode.Assemble(c =>
    {
        c.mov(__dword_ptr.gs[StateOffsets.Scratch], r14d);
        c.ldmxcsr(__dword_ptr.gs[StateOffsets.Scratch]);
    });

    /// <summary>JE.</summary>
    public static byte[] JumpIfEqual { get; } = [0x0f, 0x84, 0, 0, 0, 0];

    private static void EmitTakeSystemFlags(Iced.Intel.Assembler c, ulong flags)
    {
        c.mov(r14d, __dword_ptr.gs[StateOffsets.SystemFlags]);
        c.xor(r14d, r15d);
        c.and(r14d, (int)flags);
        c.xor(__dword_ptr.gs[StateOffsets.SystemFlags], r14d);
    }
}
