using System.Buffers.Binary;
using Ringfence.Processors.Sensitive;
using static Ringfence.Virtualizability.Model.ModelLayout;

namespace Ringfence.Virtualizability.Model;

/// <summary>Contents of the system's tables (Intel SDM 3A 3.5, 6.11, 7.2).</summary>
internal static class ModelTables
{
    private const int CodeSegment = 0x9b, ConformingCode = 0x9f, UnreadableConformingCode = 0x9d, DataSegment = 0x93, ReadOnlyData = 0x91;
    private const int Flat32 = 0xc, Flat64 = 0xa, Bytes = 0;
    private const uint Everything = 0xf_ffff;
    private const uint TaskLimit = 0x67;

    /// <summary>The I/O bitmap is two bytes of ones: no port is allowed.</summary>
    private const ushort BitmapOffset = 0x68;

    /// <summary>The GDT, and the code and data segments of the LDT, which has the same under the same numbers.</summary>
    /// <param name="mode">Long: 64-bit code segments and 16-byte system descriptors.</param>
    /// <param name="base">Base of the program's segments.</param>
    /// <param name="changed">Segments that the program does not run in have other limits and types.</param>
    public static byte[] Descriptors(AnalysisMode mode, uint @base, bool changed)
    {
        bool isLong = mode == AnalysisMode.Long;
        byte[] table = new byte[TableBytes];
        int code = isLong ? Flat64 : Flat32;
        Set(Code0, Descriptor(@base, Everything, CodeSegment, Flat32));
        Set(LongCode0, Descriptor(@base, Everything, CodeSegment, code));
        Set(Data0, Descriptor(@base, Everything, DataSegment, Flat32));
        Set(Code3, Descriptor(@base, Everything, Level(CodeSegment, 3), Flat32));
        Set(Data3, Descriptor(@base, Everything, Level(DataSegment, 3), Flat32));
        Set(LongCode3, Descriptor(@base, Everything, Level(CodeSegment, 3), code));
        Set(Code1, Descriptor(@base, Everything, Level(CodeSegment, 1), code));
        Set(Data1, Descriptor(@base, Everything, Level(DataSegment, 1), Flat32));
        Set(Code2, Descriptor(@base, Everything, Level(CodeSegment, 2), code));
        Set(Data2, Descriptor(@base, Everything, Level(DataSegment, 2), Flat32));
        SetSystem(TssSelector, Tss, TaskLimit + 2, SystemType.BusyTss32, 0);
        SetSystem(OtherTssSelector, OtherTss, TaskLimit + 2, SystemType.BusyTss32, 0);
        SetSystem(TargetTssSelector, TargetTss, TaskLimit, SystemType.Tss32, 3);
        SetSystem(FreeTssSelector, TargetTss, changed ? TaskLimit + 4 : TaskLimit, SystemType.Tss32, 0);
        SetSystem(LdtSelector, Ldt, TableBytes - 1, SystemType.Ldt, 0);
        SetSystem(OtherLdtSelector, OtherLdt, TableBytes - 1, SystemType.Ldt, 0);
        Set(CallGate, Gate(isLong ? LongCode0 : Code0, Handlers, SystemType.CallGate32, 3));
        Set(OtherData, Descriptor(@base + 0x1000, changed ? 0x1ffffU : 0xffff, Level(changed ? ReadOnlyData : DataSegment, 3), Bytes | 4));
        Set(Conforming, Descriptor(@base, Everything, changed ? UnreadableConformingCode : ConformingCode, code));
        return table;

        void Set(ushort selector, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(table.AsSpan(selector & 0xfff8), value);
        void SetSystem(ushort selector, uint start, uint limit, int type, int dpl) => Set(selector, Descriptor(start, limit, Level(0x80 | type, dpl), Bytes));
    }

    /// <summary>The IDT, or the real-address mode's table of vectors.</summary>
    public static byte[] Interrupts(AnalysisMode mode)
    {
        const int Vectors = 0x48;
        byte[] table = new byte[Vectors * 16];
        for (int vector = 0; vector < Vectors; vector++)
        {
            if (mode == AnalysisMode.Real)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(vector * 4), ((RealCode >> 4) << 16) | 0x800);
                continue;
            }

            // What serves virtual-8086 mode is the monitor's own, and open to nobody.
            bool isOpen = mode != AnalysisMode.Virtual8086 && vector is 3 or 4 or OpenVector;
            bool isLong = mode == AnalysisMode.Long;
            ulong gate = Gate(isLong ? LongCode0 : Code0, Handlers + ((uint)vector * 16), SystemType.InterruptGate32, isOpen ? 3 : 0);
            BinaryPrimitives.WriteUInt64LittleEndian(table.AsSpan(vector * (isLong ? 16 : 8)), gate);
        }

        return table;
    }

    /// <summary>The running task's state segment: the inner stacks, and a bitmap that allows no port.</summary>
    public static byte[] Task(AnalysisMode mode)
    {
        byte[] task = new byte[TaskLimit + 3];
        for (int level = 0; level < 3; level++)
        {
            uint stack = InnerStacks + 0x400 + ((uint)level * 0x400);
            if (mode == AnalysisMode.Long)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(task.AsSpan(4 + (8 * level)), stack);
                continue;
            }

            BinaryPrimitives.WriteUInt32LittleEndian(task.AsSpan(4 + (8 * level)), stack);
            BinaryPrimitives.WriteUInt16LittleEndian(task.AsSpan(8 + (8 * level)), level switch { 0 => Data0, 1 => Data1, _ => Data2 });
        }

        BinaryPrimitives.WriteUInt16LittleEndian(task.AsSpan(0), TargetTssSelector);
        BinaryPrimitives.WriteUInt16LittleEndian(task.AsSpan(0x66), BitmapOffset);
        task[^1] = task[^2] = 0xff;
        return task;
    }

    /// <summary>A task that can be switched to: user mode, in the same address space.</summary>
    public static byte[] TargetTask(uint cr3)
    {
        byte[] task = new byte[TaskLimit + 1];
        BinaryPrimitives.WriteUInt32LittleEndian(task.AsSpan(0x1c), cr3);
        BinaryPrimitives.WriteUInt32LittleEndian(task.AsSpan(0x20), CodePage + 0x800);
        BinaryPrimitives.WriteUInt32LittleEndian(task.AsSpan(0x24), 0x202);
        BinaryPrimitives.WriteUInt32LittleEndian(task.AsSpan(0x38), StackPage + StackOffset);
        for (int i = 0; i < 6; i++) BinaryPrimitives.WriteUInt16LittleEndian(task.AsSpan(0x48 + (4 * i)), i == 1 ? Code3 : Data3);
        BinaryPrimitives.WriteUInt16LittleEndian(task.AsSpan(0x60), LdtSelector);
        return task;
    }

    private static int Level(int access, int dpl) => access | (dpl << 5);

    private static ulong Descriptor(uint @base, uint limit, int access, int flags) =>
        (limit & 0xffffUL) | ((@base & 0xff_ffffUL) << 16) | ((ulong)access << 40) | ((limit & 0xf_0000UL) << 32)
            | ((ulong)flags << 52) | ((@base & 0xff00_0000UL) << 32);

    private static ulong Gate(ushort selector, uint offset, int type, int dpl) =>
        (offset & 0xffffUL) | ((ulong)selector << 16) | ((ulong)(0x80 | type | (dpl << 5)) << 40) | ((offset & 0xffff_0000UL) << 32);
}
