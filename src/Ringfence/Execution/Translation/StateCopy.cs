using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Iced.Intel;
using Ringfence.Processors;

namespace Ringfence.Execution.Translation;

/// <summary>A copy of a processor's state, without what other threads write and what belongs to emitted code alone.</summary>
internal sealed unsafe class StateCopy : IDisposable
{
    private static readonly int BeforeEvents = OffsetOf(s => (byte*)&s->Events);
    private static readonly int AfterEvents = BeforeEvents + sizeof(int);
    private static readonly int End = OffsetOf(s => (byte*)&s->Native);

    private readonly byte* _memory = (byte*)NativeMemory.AllocZeroed((nuint)sizeof(VcpuState));

    private delegate byte* Field(VcpuState* state);

    /// <summary>The copy.</summary>
    public VcpuState* State => (VcpuState*)_memory;

    /// <summary>Copies a state.</summary>
    public void Take(VcpuState* state) => Copy((byte*)state, _memory);

    /// <summary>Makes a state what it was when it was copied.</summary>
    public void Restore(VcpuState* state) => Copy(_memory, (byte*)state);

    /// <inheritdoc/>
    public void Dispose() => NativeMemory.Free(_memory);

    /// <summary>Appends in what two states differ that a guest could see.</summary>
    /// <param name="expected">What should be.</param>
    /// <param name="actual">What is.</param>
    /// <param name="flags">The bits of RFLAGS that are defined.</param>
    /// <param name="x87Status">The bits of the x87 status word that are defined.</param>
    /// <param name="text">Receives a line for each difference.</param>
    public static void Describe(VcpuState* expected, VcpuState* actual, ulong flags, int x87Status, StringBuilder text)
    {
        for (int i = 0; i < 16; i++) Line(text, (Register.RAX + i).ToString(), expected->Gpr[i], actual->Gpr[i]);
        Line(text, "RIP", expected->Rip, actual->Rip);
        Line(text, "RFLAGS", expected->Rflags & flags, actual->Rflags & flags);
        for (int i = 0; i < 32; i++) Line(text, $"XMM{i / 2}.{i & 1}", expected->Xmm[i], actual->Xmm[i]);
        Line(text, "MXCSR", expected->Mxcsr, actual->Mxcsr);
        for (int i = 0; i < 8; i++)
        {
            Line(text, $"R{i} significand", expected->X87Significand[i], actual->X87Significand[i]);
            Line(text, $"R{i} sign and exponent", expected->X87SignExponent[i], actual->X87SignExponent[i]);
        }

        Line(text, "x87 control", expected->X87Control, actual->X87Control);
        Line(text, "x87 status", (uint)(expected->X87Status & x87Status), (uint)(actual->X87Status & x87Status));
        Line(text, "x87 tag", expected->X87Tag, actual->X87Tag);
        Line(text, "FOP", expected->X87Opcode, actual->X87Opcode);
        Line(text, "FIP", expected->X87InstructionPointer, actual->X87InstructionPointer);
        Line(text, "FCS", expected->X87InstructionSelector, actual->X87InstructionSelector);
        Line(text, "FDP", expected->X87DataPointer, actual->X87DataPointer);
        Line(text, "FDS", expected->X87DataSelector, actual->X87DataSelector);
        Line(text, "CPL", expected->Cpl, actual->Cpl);
        Line(text, "CR0", expected->Cr0, actual->Cr0);
        Line(text, "CR2", expected->Cr2, actual->Cr2);
        Line(text, "CR3", expected->Cr3, actual->Cr3);
        Line(text, "CR4", expected->Cr4, actual->Cr4);
        for (int i = 0; i < 6; i++)
        {
            Line(text, $"{Register.ES + i} selector", expected->Segments[i].Selector, actual->Segments[i].Selector);
            Line(text, $"{Register.ES + i} base", expected->Segments[i].Base, actual->Segments[i].Base);
        }

        Line(text, "IA32_KERNEL_GS_BASE", expected->KernelGsBase, actual->KernelGsBase);
        Line(text, "activity", (ulong)expected->Activity, (ulong)actual->Activity);
        Line(text, "event mask", (uint)expected->EventMask, (uint)actual->EventMask);
        Line(text, "address space tag", expected->AddressSpaceTag, actual->AddressSpaceTag);
        Line(text, "TLB", (ulong)expected->Tlb, (ulong)actual->Tlb);
        Line(text, "fault pending", expected->FaultPending, actual->FaultPending);
        if (expected->FaultPending == 0 || actual->FaultPending == 0) return;
        Line(text, "vector", expected->FaultVector, actual->FaultVector);
        if (expected->FaultHasErrorCode == 0 && actual->FaultHasErrorCode == 0) return;
        Line(text, "error code", expected->FaultErrorCode, actual->FaultErrorCode);
    }

    /// <summary>The general registers, RIP and RFLAGS.</summary>
    public string Text()
    {
        var text = new StringBuilder();
        for (int i = 0; i < 16; i++) text.Append(CultureInfo.InvariantCulture, $"{(i % 4 == 0 ? "\n  " : " ")}{Register.RAX + i}={State->Gpr[i]:x16}");
        text.Append(CultureInfo.InvariantCulture, $"\n  RIP={State->Rip:x16} RFLAGS={State->Rflags:x}");
        return text.ToString();
    }

    private static void Copy(byte* from, byte* to)
    {
        Buffer.MemoryCopy(from, to, BeforeEvents, BeforeEvents);
        Buffer.MemoryCopy(from + AfterEvents, to + AfterEvents, End - AfterEvents, End - AfterEvents);
    }

    private static int OffsetOf(Field field)
    {
        VcpuState state;
        return (int)(field(&state) - (byte*)&state);
    }

    private static void Line(StringBuilder text, string name, ulong expected, ulong actual)
    {
        if (expected != actual) text.Append(CultureInfo.InvariantCulture, $"\n  {name} {expected:x} {actual:x}");
    }
}
