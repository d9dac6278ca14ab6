using Iced.Intel;

namespace Ringfence.Tests.Differential;

/// <summary>
/// Makes random states for an instruction, with its addresses steered into the test's memory: mostly inside the
/// windows, sometimes over a page boundary, into a page that is missing or may only be read, or at no canonical address.
/// A state that could reach anything else of the host's memory is refused.
/// </summary>
internal sealed unsafe class StateGenerator(CaseRandom random, ulong mapBase, int bitness)
{
    private const int StringMargin = 300;
    private const int MaximumCount = 12;
    private const ulong NonCanonical = 0x4000_0000_0000_0000;

    private readonly SafetyCheck _safety = new(mapBase, bitness);
    private readonly bool _long = bitness == 64;

    /// <summary>Fills all windows; once for each instruction.</summary>
    public void FillMemory(ref CpuImage image)
    {
        fixed (byte* memory = image.Memory) random.Fill(memory, TestMap.WindowBytes);
    }

    /// <summary>Makes the next state of an instruction. False: no safe one was found.</summary>
    public bool TryCreate(TestInstruction test, ref CpuImage image)
    {
        for (int i = 0; i < 20; i++)
        {
            Randomize(ref image);
            Steer(test, ref image);
            if (IsSafe(test, image)) return true;
        }

        return false;
    }

    /// <summary>Can the instruction reach nothing but the test's memory from this state?</summary>
    public bool IsSafe(TestInstruction test, in CpuImage image) =>
        _safety.IsSafe(test.Decoded, image) && _safety.IsTargetSafe(test, image);

    private void Randomize(ref CpuImage image)
    {
        int registers = _long ? 16 : 8;
        for (int i = 0; i < registers; i++) image.Gpr[i] = _long ? random.Integer() : (uint)random.Integer();
        image.Gpr[4] = mapBase + TestMap.Stack + 0x1000 + (ulong)((random.Below(17) - 8) * 8);
        if (random.OneIn(8)) image.Gpr[4] += (ulong)random.Below(8);
        if (random.OneIn(40)) image.Gpr[4] = mapBase + TestMap.Stack;
        image.Rflags = 0x202 | (random.Next() & 0x8d5) | (random.OneIn(8) ? 0x400UL : 0) | (random.OneIn(8) ? 1UL << 21 : 0)
            | (random.OneIn(200) ? 1UL << 18 : 0);
        RandomizeX87(ref image);
        fixed (byte* fx = image.Fx)
        {
            uint mxcsr = random.OneIn(5) ? (uint)random.Next() & 0x1f80 : 0x1f80;
            mxcsr |= (uint)random.Below(4) << 13;
            if (random.OneIn(4)) mxcsr |= (uint)random.Next() & 0x8040;
            if (random.OneIn(4)) mxcsr |= (uint)random.Next() & 0x3f;
            *(uint*)(fx + 24) = mxcsr;
            for (int i = 0; i < 32; i++) *(ulong*)(fx + 160 + (i * 8)) = random.Lane();
            if (random.OneIn(8))
            {
                int to = random.Below(_long ? 16 : 8);
                int from = random.Below(_long ? 16 : 8);
                Buffer.MemoryCopy(fx + 160 + (from * 16), fx + 160 + (to * 16), 16, 16);
            }
        }
    }

    private void RandomizeX87(ref CpuImage image)
    {
        fixed (byte* fx = image.Fx)
        {
            int masks = random.OneIn(8) ? random.Below(64) : 63;
            ushort control = (ushort)(0x40 | masks | (random.Below(4) << 10) | (random.Pick<int>([0, 2, 3, 3]) << 8));
            int flags = random.OneIn(4) ? random.Below(64) & (random.OneIn(4) ? 63 : masks) : 0;
            int status = flags | (random.Below(8) << 11) | ((int)random.Next() & 0x4700);
            if ((flags & ~masks) != 0) status |= 0x8080;
            *(ushort*)fx = control;
            *(ushort*)(fx + 2) = (ushort)status;
            fx[4] = (byte)(random.OneIn(4) ? random.Next() : 0xff);
            for (int i = 0; i < 8; i++)
            {
                (*(ulong*)(fx + 32 + (i * 16)), *(ushort*)(fx + 40 + (i * 16))) =
                    random.OneIn(12) ? (random.Next(), (ushort)0xffff) : random.Extended();
            }
        }
    }

    private void Steer(TestInstruction test, ref CpuImage image)
    {
        Instruction instruction = test.Decoded;
        image.Rflags &= ~VendorDifferences.AvoidedFlags(instruction);
        VendorDifferences.LimitX87(instruction, ref image);
        bool interior = IsBitString(instruction) || test.BranchTarget != 0 || IsStateImage(instruction.Mnemonic);
        if (IsBitString(instruction)) LimitBitOffset(instruction, ref image);
        SteerCompareExchange(instruction, ref image);
        SteerDivision(instruction, ref image);
        if (instruction.Mnemonic is Mnemonic.Enter or Mnemonic.Leave)
            image.Gpr[5] = mapBase + TestMap.Stack + 0x1000 + (ulong)((random.Below(17) - 8) * 8);
        if (random.OneIn(2) && instruction.OpCount > 1 && instruction.GetOpRegister(1) == Register.CL) image.Gpr[1] = (image.Gpr[1] & ~0xffUL) | (uint)random.Below(36);
        for (int i = 0; i < instruction.OpCount; i++)
        {
            switch (instruction.GetOpKind(i))
            {
                case OpKind.Memory:
                    SteerMemory(instruction, ref image, interior);
                    break;
                case OpKind.MemorySegSI or OpKind.MemorySegESI or OpKind.MemorySegRSI:
                    image.Gpr[6] = StringAddress(instruction);
                    image.Gpr[1] = Count();
                    break;
                case OpKind.MemorySegDI or OpKind.MemorySegEDI or OpKind.MemorySegRDI or OpKind.MemoryESDI or OpKind.MemoryESEDI or OpKind.MemoryESRDI:
                    image.Gpr[7] = StringAddress(instruction);
                    image.Gpr[1] = Count();
                    break;
                default:
                    break;
            }
        }

        SteerBranch(test, ref image);
        SteerStack(instruction, ref image);
        SteerMxcsr(instruction, ref image);
    }

    private ulong Count() => (uint)random.Below(MaximumCount) | (_long && random.OneIn(64) ? 0x1_0000_0000UL : 0);

    private ulong StringAddress(in Instruction instruction)
    {
        if (instruction.HasRepPrefix || instruction.HasRepnePrefix || random.OneIn(2))
            return random.OneIn(16) ? mapBase + TestMap.Edge + 0x2000 - (ulong)random.Below(32) : Interior(StringMargin);
        return Target(16, interior: false, steerable: true);
    }

    private ulong Interior(int margin) => mapBase + TestMap.DataWindow + (ulong)(margin + random.Below(TestMap.DataWindowBytes - (2 * margin)));

    /// <summary>Where a memory operand of some bytes is to lie.</summary>
    private ulong Target(int size, bool interior, bool steerable)
    {
        int room = TestMap.DataWindowBytes - 160 - size;
        ulong target = mapBase + TestMap.DataWindow + 80 + (ulong)random.Below(room);
        if (size >= 16 && !random.OneIn(8)) target &= ~15UL;
        if (interior) return mapBase + TestMap.DataWindow + 300 + ((target - mapBase - TestMap.DataWindow) % 800 & (size >= 16 ? ~15UL : ~0UL));
        return random.Below(40) switch
        {
            0 or 1 => mapBase + TestMap.Data + 0x1000 - (ulong)random.Below(size + 1),
            2 => mapBase + TestMap.Edge + 0x2000 - (ulong)random.Below(Math.Min(size, 64) + 1),
            3 => mapBase + TestMap.ReadOnly + (ulong)(random.Below(64) * 16),
            4 when steerable && _long => NonCanonical + (random.Next() >> 4),
            _ => target,
        };
    }

    private void SteerMemory(in Instruction instruction, ref CpuImage image, bool interior)
    {
        Register @base = instruction.MemoryBase;
        Register index = instruction.MemoryIndex;
        if (instruction.IsIPRelativeMemoryOperand || (@base == Register.None && index == Register.None)) return;
        bool is32 = (@base != Register.None ? @base : index).GetSize() == 4;
        ulong target = Target(Math.Max(1, instruction.MemorySize.GetSize()), interior, !is32);
        ulong difference = target - instruction.MemoryDisplacement64;
        ulong upper = _long && is32 ? random.Next() & 0xffff_ffff_0000_0000 : 0;
        if (@base == Register.None)
        {
            difference -= difference & (ulong)(instruction.MemoryIndexScale - 1);
            ulong value = difference / (ulong)instruction.MemoryIndexScale;
            Set(ref image, index, is32 ? (uint)((uint)difference / (uint)instruction.MemoryIndexScale) | upper : value);
            return;
        }

        bool stack = instruction.IsStackInstruction && @base.GetFullRegister() == Register.RSP;
        if (index != Register.None)
        {
            if (stack) Set(ref image, index, 0);
            ulong value = Get(image, index);
            if (is32) value = (uint)value;
            difference -= value * (ulong)instruction.MemoryIndexScale;
        }

        if (stack) return;
        Set(ref image, @base, is32 ? (uint)difference | upper : _long ? difference : (uint)difference);
        int place = TestMap.ImageOffset((long)(target - mapBase));
        if (place < 0) return;
        fixed (byte* memory = image.Memory)
        {
            int count = Math.Min(32, TestMap.WindowBytes - place);
            random.Fill(memory + place, count);
        }
    }

    private void SteerBranch(TestInstruction test, ref CpuImage image)
    {
        Instruction instruction = test.Decoded;
        ulong target = mapBase + test.BranchTarget;
        switch (instruction.FlowControl)
        {
            case FlowControl.IndirectBranch or FlowControl.IndirectCall when instruction.Op0Kind == OpKind.Register:
                Set(ref image, instruction.Op0Register, target);
                break;
            case FlowControl.IndirectBranch or FlowControl.IndirectCall:
                int place = _safety.PlaceOfOperand(instruction, image);
                if (place >= 0 && place + 8 <= TestMap.WindowBytes) WriteTarget(ref image, place, target);
                break;
            case FlowControl.Return:
                int top = TestMap.ImageOffset((long)(image.Gpr[4] - mapBase));
                if (top >= 0 && top + 8 <= TestMap.WindowBytes) WriteTarget(ref image, top, target);
                break;
            default:
                break;
        }
    }

    private void WriteTarget(ref CpuImage image, int place, ulong target)
    {
        fixed (byte* memory = image.Memory)
        {
            if (_long) *(ulong*)(memory + place) = target;
            else *(uint*)(memory + place) = (uint)target;
        }
    }

    private void SteerStack(in Instruction instruction, ref CpuImage image)
    {
        if (instruction.Mnemonic is not (Mnemonic.Popf or Mnemonic.Popfd or Mnemonic.Popfq)) return;
        int top = TestMap.ImageOffset((long)(image.Gpr[4] - mapBase));
        if (top < 0 || top + 8 > TestMap.WindowBytes) return;

        // Not TF, NT, VM, RF, VIF and VIP; IF and IOPL must be ignored.
        fixed (byte* memory = image.Memory) *(ulong*)(memory + top) &= ~0x1b_4100UL;
    }

    /// <summary>Also where the operand lies where chance has put it: in a million cases one has only the bit that differs.</summary>
    private void SteerMxcsr(in Instruction instruction, ref CpuImage image)
    {
        const int MxcsrInFxsave = 24;
        if (instruction.Mnemonic is not (Mnemonic.Ldmxcsr or Mnemonic.Fxrstor or Mnemonic.Fxrstor64)) return;
        int place = _safety.PlaceOfOperand(instruction, image);
        if (place < 0) return;
        if (instruction.Mnemonic != Mnemonic.Ldmxcsr) place += MxcsrInFxsave;
        if (place + 4 > TestMap.WindowBytes) return;
        uint mask = random.OneIn(4) ? ~VendorDifferences.MxcsrOfOneVendor : 0xffff;
        fixed (byte* memory = image.Memory) *(uint*)(memory + place) &= mask;
    }

    private void SteerCompareExchange(in Instruction instruction, ref CpuImage image)
    {
        if (instruction.Mnemonic == Mnemonic.Cmpxchg && instruction.Op0Kind == OpKind.Register && random.OneIn(2))
            image.Gpr[0] = Get(image, instruction.Op0Register);
        if (instruction.Op0Kind != OpKind.Memory || !random.OneIn(2)) return;
        int place = _safety.PlaceOfOperand(instruction, image);
        if (place < 0 || place + 16 > TestMap.WindowBytes) return;
        fixed (byte* memory = image.Memory)
        {
            switch (instruction.Mnemonic)
            {
                case Mnemonic.Cmpxchg:
                    *(ulong*)(memory + place) = image.Gpr[0];
                    break;
                case Mnemonic.Cmpxchg8b:
                    *(uint*)(memory + place) = (uint)image.Gpr[0];
                    *(uint*)(memory + place + 4) = (uint)image.Gpr[2];
                    break;
                case Mnemonic.Cmpxchg16b:
                    *(ulong*)(memory + place) = image.Gpr[0];
                    *(ulong*)(memory + place + 8) = image.Gpr[2];
                    break;
                default:
                    break;
            }
        }
    }

    private void SteerDivision(in Instruction instruction, ref CpuImage image)
    {
        if (instruction.Mnemonic is not (Mnemonic.Div or Mnemonic.Idiv) || random.OneIn(4)) return;
        bool negative = instruction.Mnemonic == Mnemonic.Idiv && random.OneIn(2);
        image.Gpr[2] = negative ? _long ? ulong.MaxValue : uint.MaxValue : random.OneIn(2) ? 0 : (ulong)random.Below(100);
        if (instruction.Code is Code.Div_rm8 or Code.Idiv_rm8) image.Gpr[0] &= 0xff;
    }

    private static bool IsBitString(in Instruction instruction) =>
        instruction.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc
        && instruction.Op0Kind == OpKind.Memory && instruction.Op1Kind == OpKind.Register;

    private static bool IsStateImage(Mnemonic mnemonic) => mnemonic is Mnemonic.Fxsave or Mnemonic.Fxsave64 or Mnemonic.Fnsave or Mnemonic.Fnstenv;

    private void LimitBitOffset(in Instruction instruction, ref CpuImage image)
    {
        ulong bits = (ulong)(long)(random.Below(1024) - 512);
        Register register = instruction.Op1Register;
        ulong value = register.GetSize() switch
        {
            2 => (Get(image, register) & ~0xffffUL) | (ushort)bits,
            4 => (uint)bits,
            _ => bits,
        };
        Set(ref image, register, value);
    }

    private static ulong Get(in CpuImage image, Register register) => SafetyCheck.RegisterValue(image, register);

    private static void Set(ref CpuImage image, Register register, ulong value)
    {
        if (register.IsGPR8()) return;
        image.Gpr[register.GetFullRegister() - Register.RAX] = value;
    }
}
