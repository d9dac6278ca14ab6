using System.Buffers.Binary;
using Ringfence.Machines;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Tests.Differential;

namespace Ringfence.Tests.Fuzz;

/// <summary>
/// Fills a machine with a random memory image (code, half-valid descriptors, half-valid page tables) and puts its first processor into a random
/// state of a mode. The machine ends by itself, or is ended at a number of instructions.
/// </summary>
internal sealed record FuzzBoot(FuzzCode Code, FuzzMode Mode, ulong Seed, long Instructions) : BootSource
{
    private const uint Gdt = 0x1_0000;
    private const uint Idt = 0x1_1000;
    private const uint Ldt = 0x1_2000;
    private const uint Tss = 0x1_3000;
    private const uint Pml4 = 0x2_0000;
    private const uint Pdpt = 0x2_1000;
    private const uint Directory = 0x2_2000;
    private const uint Table = 0x2_3000;
    private const uint LegacyDirectory = 0x2_4000;
    private const uint LegacyTable = 0x2_5000;
    private const uint CodeStart = 0x3_0000;
    private const int CodeBytes = 0x2_0000;
    private const uint DataStart = 0x6_0000;
    private const int DataBytes = 0x2_0000;
    private const uint LocalApicPage = 0xfee0_0000;

    private bool IsLong => Mode is FuzzMode.Long or FuzzMode.Compatibility16 or FuzzMode.Compatibility32;

    private int Bitness => Mode switch
    {
        FuzzMode.Long => 64,
        FuzzMode.Protected32 or FuzzMode.Paged or FuzzMode.Pae or FuzzMode.Compatibility32 => 32,
        _ => 16,
    };

    /// <inheritdoc/>
    internal override unsafe void Load(Pc pc, bool isReset)
    {
        CaseRandom random = new(Seed);
        FillMemory(pc, random, isReset);
        foreach (Processor processor in pc.Processors)
        {
            if (processor.Index > 0 && random.OneIn(2)) continue;
            processor.State->Activity = ActivityState.Active;
            if (Mode != FuzzMode.Reset) SetState(processor, random);
            processor.Mmu.Flush();
            processor.Mmu.FlushCodeTlb();
            processor.RefreshMode();
        }

        if (isReset) return;
        pc.Clock.CreateTimer(() => pc.Control.End(new EndRequest(MachineExitReason.Stopped))).Arm(Instructions);
    }

    private void FillMemory(Pc pc, CaseRandom random, bool isReset)
    {
        byte[] low = new byte[0x9_f000];
        for (int i = 0; i + 8 <= low.Length; i += 8) BinaryPrimitives.WriteUInt64LittleEndian(low.AsSpan(i), random.OneIn(2) ? random.Next() : 0);
        Code.Fill(random, low.AsSpan((int)CodeStart, CodeBytes), Bitness);
        for (int i = 0; i < 256; i++)
        {
            // The real-mode interrupt table leads into the code most of the time.
            if (random.OneIn(8)) continue;
            BinaryPrimitives.WriteUInt16LittleEndian(low.AsSpan(i * 4), (ushort)random.Below(0x8000));
            BinaryPrimitives.WriteUInt16LittleEndian(low.AsSpan((i * 4) + 2), (ushort)(CodeStart >> 4));
        }

        WriteDescriptors(low, random);
        WriteGates(low, random);
        WriteTaskState(low, random);
        WritePageTables(low, random);
        pc.Memory.Write(new GuestPhysical(0), low);
        byte[] top = new byte[0x1_0000];
        Code.Fill(random, top, 16);
        if (Mode == FuzzMode.Reset && !isReset) pc.Memory.MapRom("fuzz", 0xffff_0000, top);
    }

    private static void WriteDescriptors(byte[] low, CaseRandom random)
    {
        foreach (uint table in (uint[])[Gdt, Ldt])
        {
            for (int i = 0; i < 64; i++)
            {
                Span<byte> entry = low.AsSpan((int)table + (i * 8), 8);
                if (random.OneIn(6))
                {
                    BinaryPrimitives.WriteUInt64LittleEndian(entry, random.Next());
                    continue;
                }

                // Flat code and data of every size, privilege and direction, with limits that are sometimes small.
                ulong type = random.Pick<ulong>([0x9a, 0x9b, 0x92, 0x93, 0x9e, 0x96, 0x98, 0x90, 0x89, 0x82, 0x8c, 0x85, 0x81, 0x84]);
                if (type is 0x8c or 0x84)
                {
                    BinaryPrimitives.WriteUInt64LittleEndian(entry, Gate(CodeStart + (uint)random.Below(CodeBytes), (ushort)(random.Below(64) * 8), type | ((ulong)random.Below(4) << 5)));
                    continue;
                }

                ulong limit = random.OneIn(4) ? (ulong)random.Below(0x1000) : 0xf_ffff;
                ulong start = type is 0x89 or 0x82 or 0x81 or 0x85 ? Tss : random.OneIn(8) ? (ulong)random.Below(0x8_0000) : 0;
                ulong flags = random.Pick<ulong>([0xc, 0xc, 0xa, 0x8, 0x4, 0x0]);
                type |= (ulong)random.Below(4) << 5;
                if (random.OneIn(16)) type &= 0x7f;
                ulong value = (limit & 0xffff) | ((start & 0xff_ffff) << 16) | (type << 40) | ((limit >> 16) << 48) | (flags << 52) | ((start >> 24) << 56);
                BinaryPrimitives.WriteUInt64LittleEndian(entry, value);
            }
        }

        // The ones the processors begin with.
        BinaryPrimitives.WriteUInt64LittleEndian(low.AsSpan((int)Gdt + 8), 0x00cf_9b00_0000_ffff);
        BinaryPrimitives.WriteUInt64LittleEndian(low.AsSpan((int)Gdt + 16), 0x00cf_9300_0000_ffff);
        BinaryPrimitives.WriteUInt64LittleEndian(low.AsSpan((int)Gdt + 24), 0x00af_9b00_0000_ffff);
    }

    private void WriteGates(byte[] low, CaseRandom random)
    {
        int size = IsLong ? 16 : 8;
        for (int i = 0; i < 256; i++)
        {
            Span<byte> entry = low.AsSpan((int)Idt + (i * size), size);
            if (random.OneIn(8)) continue;
            ushort selector = random.OneIn(8) ? (ushort)random.Next() : IsLong ? (ushort)24 : (ushort)8;
            ulong type = random.Pick<ulong>([0x8e, 0x8f, 0xee, 0x86, 0x87, 0x85, 0x8c]);
            BinaryPrimitives.WriteUInt64LittleEndian(entry, Gate(CodeStart + (uint)random.Below(CodeBytes), selector, type) | (IsLong ? (ulong)random.Below(8) << 32 : 0));
            if (IsLong && !random.OneIn(8)) entry[8..].Clear();
        }
    }

    private static ulong Gate(uint offset, ushort selector, ulong type) =>
        (offset & 0xffff) | ((ulong)selector << 16) | (type << 40) | ((ulong)(offset >> 16) << 48);

    private void WriteTaskState(byte[] low, CaseRandom random)
    {
        Span<byte> tss = low.AsSpan((int)Tss, 0x68);
        for (int i = 4; i < 0x68; i += 4)
            BinaryPrimitives.WriteUInt32LittleEndian(tss[i..], random.OneIn(4) ? (uint)random.Next() : random.OneIn(2) ? (uint)(random.Below(64) * 8) : DataStart + (uint)random.Below(DataBytes));
        if (random.OneIn(2)) BinaryPrimitives.WriteUInt32LittleEndian(tss[28..], Pml4);

        // Mostly a good inner stack: without one every exception of an outer level is a triple fault, and handlers never run.
        if (random.OneIn(4)) return;
        BinaryPrimitives.WriteUInt32LittleEndian(tss[4..], DataStart + 0x8000);
        BinaryPrimitives.WriteUInt32LittleEndian(tss[8..], IsLong ? 0u : 16u);
    }

    private static void WritePageTables(byte[] low, CaseRandom random)
    {
        Fill64(Pml4, _ => Pdpt);
        Fill64(Pdpt, i => random.OneIn(8) ? (ulong)i << 30 | 0x80 : Directory);
        Fill64(Directory, i => i == 0 ? Table : i == 3 ? LocalApicPage | 0x80 : ((ulong)i << 21) | 0x80);
        Fill64(Table, i => (ulong)i << 12);
        for (int i = 0; i < 1024; i++)
        {
            Write32(LegacyDirectory, i, i == 0 ? LegacyTable : i == 1 ? 0xfec0_0080 : ((uint)i << 22) | 0x80);
            Write32(LegacyTable, i, (uint)i << 12);
        }

        void Fill64(uint table, Func<int, ulong> address)
        {
            for (int i = 0; i < 512; i++)
            {
                ulong value = random.OneIn(64) ? random.Next() : address(i) | Bits();
                if (random.OneIn(64)) value ^= 1UL << random.Below(64);
                BinaryPrimitives.WriteUInt64LittleEndian(low.AsSpan((int)table + (i * 8)), value);
            }
        }

        void Write32(uint table, int index, uint value)
        {
            value |= (uint)Bits();
            if (random.OneIn(64)) value ^= 1u << random.Below(32);
            BinaryPrimitives.WriteUInt32LittleEndian(low.AsSpan((int)table + (index * 4)), value);
        }

        ulong Bits() => random.OneIn(24) ? (ulong)random.Below(512) & 0x17f : 7;
    }

    private unsafe void SetState(Processor processor, CaseRandom random)
    {
        VcpuState* s = processor.State;
        for (int i = 0; i < 16; i++) s->Gpr[i] = random.OneIn(2) ? random.Integer() : DataStart + (ulong)random.Below(DataBytes);
        s->Gpr[4] = DataStart + 0x8000 + (ulong)random.Below(0x1000);
        for (int i = 0; i < 32; i++) s->Xmm[i] = random.Lane();
        for (int i = 0; i < 8; i++) (s->X87Significand[i], s->X87SignExponent[i]) = random.Extended();
        s->X87Tag = (byte)random.Next();
        s->X87Status = (ushort)(random.Next() & 0x7f7f);
        s->X87Control = (ushort)(0x40 | ((int)random.Next() & 0xf3f));
        s->Mxcsr = (uint)random.Next() & 0xffff;
        s->Gdtr = new DescriptorTableRegister { Base = Gdt, Limit = random.OneIn(8) ? (ulong)random.Below(0x1000) : 0x1ff };
        s->Idtr = new DescriptorTableRegister { Base = Mode is FuzzMode.Real or FuzzMode.Unreal ? 0 : Idt, Limit = random.OneIn(8) ? (ulong)random.Below(0x1000) : 0xfff };
        SetControlRegisters(s, random);
        int privilege = Mode == FuzzMode.Virtual8086 ? 3 : Mode is FuzzMode.Real or FuzzMode.Unreal || random.OneIn(2) ? 0 : random.Pick<int>([1, 3, 3]);
        SetSegments(s, random, privilege);
        s->Cpl = (byte)privilege;
        ulong flags = random.Next() & 0x7fd5 & ~(random.OneIn(16) ? 0 : 0x100UL);
        if (random.OneIn(4)) flags |= random.Next() & 0x3c_0000;
        if (!IsLong && random.OneIn(8)) flags |= 0x4000;
        s->Rflags = flags | 2 | (Mode == FuzzMode.Virtual8086 ? RflagsBits.Vm : 0);
        s->Rip = Mode is FuzzMode.Real or FuzzMode.Unreal or FuzzMode.Virtual8086 or FuzzMode.Protected16 or FuzzMode.Compatibility16
            ? (ulong)random.Below(0x8000) : CodeStart + (ulong)random.Below(CodeBytes);
        if (!random.OneIn(8)) return;
        for (int i = 0; i < 4; i++) s->DebugAddress[i] = random.OneIn(2) ? CodeStart + (ulong)random.Below(CodeBytes) : DataStart + (ulong)random.Below(DataBytes);
        s->Dr7 = 0x400 | (random.Next() & 0xffff_23ff);
    }

    private unsafe void SetControlRegisters(VcpuState* s, CaseRandom random)
    {
        bool paged = Mode is FuzzMode.Paged or FuzzMode.Pae || IsLong || (Mode == FuzzMode.Virtual8086 && random.OneIn(2));
        bool pae = Mode == FuzzMode.Pae || IsLong;
        s->Cr0 = Cr0.Et | (random.Next() & (Cr0.Mp | Cr0.Ne | Cr0.Wp | Cr0.Am)) | (random.OneIn(16) ? Cr0.Ts : 0) | (random.OneIn(16) ? Cr0.Em : 0);
        if (Mode is not (FuzzMode.Real or FuzzMode.Unreal)) s->Cr0 |= Cr0.Pe;
        if (paged) s->Cr0 |= Cr0.Pg;
        s->Cr4 = random.Next() & (Cr4.Vme | Cr4.Pvi | Cr4.Tsd | Cr4.De | Cr4.Pse | Cr4.Pge | Cr4.Osfxsr | Cr4.Osxmmexcpt | Cr4.Umip | Cr4.Fsgsbase);
        if (random.OneIn(8)) s->Cr4 |= random.Next() & (Cr4.Smep | Cr4.Smap);
        if (pae) s->Cr4 |= Cr4.Pae;
        s->Cr3 = IsLong ? Pml4 : pae ? Pdpt : LegacyDirectory;
        s->Efer = IsLong ? Efer.Sce | Efer.Lme | Efer.Lma | (random.Next() & Efer.Nxe) : random.OneIn(2) ? Efer.Nxe : 0;
        for (int i = 0; i < 4; i++) s->Pdpte[i] = Directory | 1;
        s->Lstar = s->Cstar = s->SysenterEip = CodeStart + (ulong)random.Below(CodeBytes);
        s->Star = random.Next();
        s->Fmask = random.Next() & 0xffff_ffff;
        s->SysenterCs = random.OneIn(4) ? random.Next() & 0xffff : 8;
        s->SysenterEsp = DataStart + 0x100;
    }

    private unsafe void SetSegments(VcpuState* s, CaseRandom random, int privilege)
    {
        if (Mode is FuzzMode.Real or FuzzMode.Unreal or FuzzMode.Virtual8086)
        {
            for (int i = 0; i < (int)SegmentIndex.Flat; i++)
            {
                ushort selector = i == (int)SegmentIndex.Cs ? (ushort)(CodeStart >> 4) : (ushort)(random.OneIn(4) ? (uint)random.Next() : DataStart >> 4);
                uint limit = Mode == FuzzMode.Unreal && i != (int)SegmentIndex.Cs ? uint.MaxValue : 0xffff;
                Set((SegmentIndex)i, selector, Mode == FuzzMode.Virtual8086 ? (ushort)0xf3 : (ushort)0x93, (ulong)selector << 4, limit);
            }
        }
        else
        {
            ushort dpl = (ushort)(privilege << 5);
            ushort code = Mode switch
            {
                FuzzMode.Long => 0xa09b,
                FuzzMode.Compatibility16 or FuzzMode.Protected16 => 0x009b,
                _ => 0xc09b,
            };
            bool small = Mode is FuzzMode.Protected16 or FuzzMode.Compatibility16;
            Set(SegmentIndex.Cs, (ushort)((Mode == FuzzMode.Long ? 24 : 8) | privilege), (ushort)(code | dpl), small ? CodeStart : 0, small ? 0xffff : uint.MaxValue);
            for (int i = 0; i < (int)SegmentIndex.Flat; i++)
            {
                if (i == (int)SegmentIndex.Cs) continue;
                bool odd = i != (int)SegmentIndex.Ss && random.OneIn(6);
                ushort attributes = odd ? random.Pick<ushort>([0x0100, 0x0091, 0x4095, 0x4097, 0x009b, 0xc099]) : random.OneIn(8) ? (ushort)0x0093 : (ushort)0xc093;
                Set((SegmentIndex)i, (ushort)(16 | privilege), (ushort)(attributes | dpl), random.OneIn(8) ? random.Next() & 0xffff : 0, random.OneIn(8) ? (uint)random.Next() : uint.MaxValue);
            }
        }

        Set(SegmentIndex.Ldtr, 0x28, 0x82, Ldt, 0x1ff);
        Set(SegmentIndex.Tr, 0x30, IsLong || random.OneIn(2) ? (ushort)0x8b : (ushort)0x83, Tss, random.OneIn(8) ? (uint)random.Below(0x100) : 0x2000);

        void Set(SegmentIndex index, ushort selector, ushort attributes, ulong start, uint limit) =>
            s->Segment(index) = new SegmentRegister(selector, start, limit, attributes);
    }
}
