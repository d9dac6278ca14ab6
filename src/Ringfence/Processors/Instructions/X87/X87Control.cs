using Ringfence.Memory;
using Ringfence.Processors.FloatingPoint;

namespace Ringfence.Processors.Instructions.X87;

/// <summary>
/// Control instructions, the environment and the whole state (Intel SDM 1 8.1.10, 8.3.9). They leave the last
/// instruction's pointers alone.
/// </summary>
/// <typeparam name="TAddressing">The addressing of the code.</typeparam>
internal static unsafe class X87Control<TAddressing>
    where TAddressing : struct, IAddressing
{
    private const int ControlDefined = 0x1f3f;
    private const int ControlAlwaysOne = 0x40;
    private const int RegisterBytes = 80;
    private const int ChunkBytes = 2;

    /// <summary>FNINIT.</summary>
    public static bool Initialize(Processor processor, VcpuState* s, Operation* op)
    {
        Initialize(s);
        return true;
    }

    /// <summary>FNCLEX.</summary>
    public static bool ClearExceptions(Processor processor, VcpuState* s, Operation* op)
    {
        X87Unit.SetCodes(s, FloatExceptions.All | X87Unit.StackFault | X87Unit.ErrorSummary | X87Unit.Busy, 0);
        return true;
    }

    /// <summary>FNENI, FNDISI and FNSETPM: the 8087's and the 80287's, without effect since the 80387.</summary>
    public static bool Legacy(Processor processor, VcpuState* s, Operation* op) => true;

    /// <summary>FLDCW.</summary>
    public static bool LoadControl(Processor processor, VcpuState* s, Operation* op)
    {
        if (!Operand<TAddressing>.TryRead(processor, s, op, out ushort control)) return false;
        SetControl(s, control);
        return true;
    }

    /// <summary>FNSTCW.</summary>
    public static bool StoreControl(Processor processor, VcpuState* s, Operation* op) =>
        Operand<TAddressing>.TryWrite(processor, s, op, s->X87Control);

    /// <summary>FNSTSW m16.</summary>
    public static bool StoreStatus(Processor processor, VcpuState* s, Operation* op) =>
        Operand<TAddressing>.TryWrite(processor, s, op, s->X87Status);

    /// <summary>FNSTSW AX.</summary>
    public static bool StoreStatusInAx(Processor processor, VcpuState* s, Operation* op)
    {
        Register.Write(s, 0, s->X87Status);
        return true;
    }

    /// <summary>FNSTENV, 14 bytes: masks all exceptions afterwards.</summary>
    public static bool StoreEnvironment16(Processor processor, VcpuState* s, Operation* op) => StoreEnvironment(processor, s, op, 14);

    /// <summary>FNSTENV, 28 bytes.</summary>
    public static bool StoreEnvironment32(Processor processor, VcpuState* s, Operation* op) => StoreEnvironment(processor, s, op, 28);

    /// <summary>FLDENV, 14 bytes.</summary>
    public static bool LoadEnvironment16(Processor processor, VcpuState* s, Operation* op) => Load(processor, s, op, 14, false);

    /// <summary>FLDENV, 28 bytes.</summary>
    public static bool LoadEnvironment32(Processor processor, VcpuState* s, Operation* op) => Load(processor, s, op, 28, false);

    /// <summary>FNSAVE, 94 bytes: initializes the unit afterwards.</summary>
    public static bool Save16(Processor processor, VcpuState* s, Operation* op) => Save(processor, s, op, 14);

    /// <summary>FNSAVE, 108 bytes.</summary>
    public static bool Save32(Processor processor, VcpuState* s, Operation* op) => Save(processor, s, op, 28);

    /// <summary>FRSTOR, 94 bytes.</summary>
    public static bool Restore16(Processor processor, VcpuState* s, Operation* op) => Load(processor, s, op, 14, true);

    /// <summary>FRSTOR, 108 bytes.</summary>
    public static bool Restore32(Processor processor, VcpuState* s, Operation* op) => Load(processor, s, op, 28, true);

    private static void Initialize(VcpuState* s)
    {
        s->X87Control = 0x37f;
        s->X87Status = 0;
        s->X87Tag = 0;
        s->X87Opcode = 0;
        s->X87InstructionPointer = 0;
        s->X87InstructionSelector = 0;
        s->X87DataPointer = 0;
        s->X87DataSelector = 0;
    }

    private static void SetControl(VcpuState* s, ushort control)
    {
        s->X87Control = (ushort)((control & ControlDefined) | ControlAlwaysOne);
        X87Unit.Summarize(s);
    }

    private static bool StoreEnvironment(Processor processor, VcpuState* s, Operation* op, int size)
    {
        byte* image = stackalloc byte[28];
        WriteEnvironment(s, image, size);
        if (!TryWriteImage(processor, s, op, image, size, size / 7)) return false;
        s->X87Control |= FloatExceptions.All;
        X87Unit.Summarize(s);
        return true;
    }

    private static bool Save(Processor processor, VcpuState* s, Operation* op, int environmentSize)
    {
        byte* image = stackalloc byte[28 + RegisterBytes];
        WriteEnvironment(s, image, environmentSize);
        for (int i = 0; i < 8; i++)
        {
            Floatx80 value = X87Unit.Get(s, i);
            byte* place = image + environmentSize + (i * 10);
            *(ulong*)place = value.Significand;
            *(ushort*)(place + 8) = value.SignExponent;
        }

        if (!TryWriteImage(processor, s, op, image, environmentSize + RegisterBytes, environmentSize / 7)) return false;
        Initialize(s);
        return true;
    }

    private static bool Load(Processor processor, VcpuState* s, Operation* op, int environmentSize, bool registers)
    {
        byte* image = stackalloc byte[28 + RegisterBytes];
        if (!TryReadImage(processor, s, op, image, environmentSize + (registers ? RegisterBytes : 0), environmentSize / 7)) return false;
        ReadEnvironment(s, image, environmentSize);
        if (!registers) return true;
        for (int i = 0; i < 8; i++)
        {
            byte* place = image + environmentSize + (i * 10);
            int register = X87Unit.Physical(s, i);
            s->X87Significand[register] = *(ulong*)place;
            s->X87SignExponent[register] = *(ushort*)(place + 8);
        }

        return true;
    }

    /// <summary>Figures 8-9 to 8-12 of Intel SDM 1; reserved words are ones.</summary>
    private static void WriteEnvironment(VcpuState* s, byte* image, int size)
    {
        bool real = s->Mode is ProcessorMode.Real or ProcessorMode.Virtual8086;
        uint instruction = (uint)s->X87InstructionPointer;
        uint data = (uint)s->X87DataPointer;
        if (real)
        {
            instruction += (uint)s->X87InstructionSelector << 4;
            data += (uint)s->X87DataSelector << 4;
        }

        if (size == 14)
        {
            ushort* words = (ushort*)image;
            words[0] = s->X87Control;
            words[1] = s->X87Status;
            words[2] = FullTag(s);
            words[3] = (ushort)instruction;
            words[4] = real ? (ushort)((instruction >> 4 & 0xf000) | s->X87Opcode) : s->X87InstructionSelector;
            words[5] = (ushort)data;
            words[6] = real ? (ushort)(data >> 4 & 0xf000) : s->X87DataSelector;
            return;
        }

        const uint Reserved = 0xffff_0000;
        uint* doublewords = (uint*)image;
        doublewords[0] = Reserved | s->X87Control;
        doublewords[1] = Reserved | s->X87Status;
        doublewords[2] = Reserved | FullTag(s);
        doublewords[3] = real ? Reserved | (ushort)instruction : instruction;
        doublewords[4] = real ? ((instruction >> 4) & 0x0fff_f000) | s->X87Opcode : ((uint)s->X87Opcode << 16) | s->X87InstructionSelector;
        doublewords[5] = real ? Reserved | (ushort)data : data;
        doublewords[6] = real ? (data >> 4) & 0x0fff_f000 : Reserved | s->X87DataSelector;
    }

    private static void ReadEnvironment(VcpuState* s, byte* image, int size)
    {
        bool real = s->Mode is ProcessorMode.Real or ProcessorMode.Virtual8086;
        ushort control, status, tag, instructionSelector, dataSelector;
        uint instruction, data, opcode;
        if (size == 14)
        {
            ushort* words = (ushort*)image;
            (control, status, tag) = (words[0], words[1], words[2]);
            (instruction, data) = (words[3], words[5]);
            (instructionSelector, dataSelector) = (words[4], words[6]);
            opcode = words[4];
            if (real)
            {
                instruction |= (uint)(words[4] & 0xf000) << 4;
                data |= (uint)(words[6] & 0xf000) << 4;
            }
            else
            {
                opcode = 0;
            }
        }
        else
        {
            uint* doublewords = (uint*)image;
            (control, status, tag) = ((ushort)doublewords[0], (ushort)doublewords[1], (ushort)doublewords[2]);
            (instruction, data) = (doublewords[3], doublewords[5]);
            (instructionSelector, dataSelector) = ((ushort)doublewords[4], (ushort)doublewords[6]);
            opcode = real ? doublewords[4] : doublewords[4] >> 16;
            if (real)
            {
                instruction = (ushort)instruction | ((doublewords[4] & 0x0fff_f000) << 4);
                data = (ushort)data | ((doublewords[6] & 0x0fff_f000) << 4);
            }
        }

        s->X87Status = status;
        s->X87Opcode = (ushort)(opcode & 0x7ff);
        s->X87InstructionPointer = instruction;
        s->X87DataPointer = data;
        s->X87InstructionSelector = real ? (ushort)0 : instructionSelector;
        s->X87DataSelector = real ? (ushort)0 : dataSelector;
        int abridged = 0;
        for (int i = 0; i < 8; i++) abridged |= ((tag >> (i * 2)) & 3) != 3 ? 1 << i : 0;
        s->X87Tag = (byte)abridged;
        SetControl(s, control);
    }

    /// <summary>The tag word with two bits a register: valid, zero, special, empty (Intel SDM 1 8.1.7).</summary>
    private static ushort FullTag(VcpuState* s)
    {
        int tags = 0;
        for (int i = 0; i < 8; i++)
        {
            int tag = ((s->X87Tag >> i) & 1) == 0 ? 3 : new Floatx80(s->X87SignExponent[i], s->X87Significand[i]).Class switch
            {
                FloatClass.Normal => 0,
                FloatClass.Zero => 1,
                _ => 2,
            };
            tags |= tag << (i * 2);
        }

        return (ushort)tags;
    }

    /// <summary>
    /// Writes nothing unless everything can be written, but where the operand wraps around its segment. Alignment checks are of
    /// the environment's elements (Intel SDM 3A table 6-7).
    /// </summary>
    private static bool TryWriteImage(Processor processor, VcpuState* s, Operation* op, byte* image, int size, int first)
    {
        ulong offset = Operand<TAddressing>.EffectiveAddress(s, op);
        if (!processor.Mmu.TryProbe(op->Segment, offset, first, write: true)) return false;
        if (((offset + (ulong)size - 1) & op->AddressMask) > offset
            && (!processor.Mmu.TryGetLinear(op->Segment, offset, size, write: true, out ulong linear)
                || !processor.Mmu.TryProbeWrite(linear, size, Privilege.Current)))
        {
            return false;
        }

        for (int i = 0; i < size; i += ChunkBytes)
        {
            if (!Operand<TAddressing>.TryWriteAt(processor, s, op->Segment, (offset + (ulong)i) & op->AddressMask, *(ushort*)(image + i))) return false;
        }

        return true;
    }

    /// <summary>
    /// The control word's element is touched first, then the last byte, as processors do: where only the operand's second page
    /// is missing, CR2 is that byte's address.
    /// </summary>
    private static bool TryReadImage(Processor processor, VcpuState* s, Operation* op, byte* image, int size, int first)
    {
        ulong offset = Operand<TAddressing>.EffectiveAddress(s, op);
        if (!processor.Mmu.TryProbe(op->Segment, offset, first, write: false)
            || !processor.Mmu.TryProbe(op->Segment, (offset + (ulong)size - 1) & op->AddressMask, 1, write: false))
        {
            return false;
        }

        for (int i = 0; i < size; i += ChunkBytes)
        {
            if (!Operand<TAddressing>.TryReadAt(processor, s, op->Segment, (offset + (ulong)i) & op->AddressMask, out ushort part)) return false;
            *(ushort*)(image + i) = part;
        }

        return true;
    }
}
