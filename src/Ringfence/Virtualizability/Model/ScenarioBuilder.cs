using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Processors.Sensitive;
using static Ringfence.Virtualizability.Model.ModelLayout;
using RflagsBits = Ringfence.Processors.RflagsBits;

namespace Ringfence.Virtualizability.Model;

/// <summary>
/// Operands for each form. Every form has two plain scenarios; those that take selectors, far pointers, numbers of registers or images of
/// registers have others, so that whatever they do besides computing is seen.
/// </summary>
internal sealed class ScenarioBuilder(AnalysisMode mode, FormEncoder encoder)
{
    private const int Rax = 0, Rcx = 1, Rdx = 2, Rbx = 3, Rsp = 4, Rbp = 5, Rsi = 6, Rdi = 7;
    private const ulong TargetOffset = 0x300;

    private static readonly uint[] CpuidLeaves = [0, 1, 2, 4, 6, 7, 0xb, 0x15, 0x4000_0000, 0x8000_0001, 0x8000_0006];

    /// <summary>MSRs and a value that changes each.</summary>
    private static readonly (uint Number, ulong Value)[] ModelSpecific =
    [
        (Msr.Timestamp, 0x1234_5678), (Msr.ApicBase, 0xfee0_0800), (Msr.SysenterCs, 0x30), (Msr.SysenterEsp, 0x1000), (Msr.SysenterEip, 0x1000),
        (Msr.MiscEnable, 1 << 18), (Msr.Pat, 0), (Msr.MtrrDefaultType, 0x806), (Msr.Efer, Efer.Nxe | Efer.Lme), (Msr.Efer, Efer.Nxe),
        (Msr.Star, 0x1000), (Msr.Lstar, 0x1000), (Msr.Cstar, 0x1000), (Msr.Fmask, 0x1000), (Msr.FsBase, 0x1000), (Msr.GsBase, 0x1000),
        (Msr.KernelGsBase, 0x1000), (Msr.TscAux, 0x1000),
    ];

    private bool IsProtected => mode is AnalysisMode.Protected or AnalysisMode.Long;

    private ushort UserCode => mode == AnalysisMode.Long ? LongCode3 : Code3;

    private ushort KernelCode => mode == AnalysisMode.Long ? LongCode0 : Code0;

    /// <summary>Selectors of every kind of descriptor.</summary>
    private (string Name, ushort Selector)[] Selectors => !IsProtected
        ? [("paragraph 0x3000", 0x3000), ("paragraph 0x1234", 0x1234)]
        :
        [
            ("data, DPL 3", Data3), ("other data, DPL 3", OtherData), ("code, DPL 3", UserCode), ("data, DPL 0", Data0), ("code, DPL 0", KernelCode),
            ("conforming code, DPL 0", Conforming), ("null", 0), ("call gate, DPL 3", CallGate), ("busy TSS", TssSelector),
            ("available TSS, DPL 0", FreeTssSelector), ("available TSS, DPL 3", TargetTssSelector), ("LDT", LdtSelector), ("another LDT", OtherLdtSelector),
            ("data in the LDT", Data3 | 4), ("beyond the limit", TableBytes | 3), ("data, DPL 1", Data1),
        ];

    private (string Name, ushort Selector)[] CodeTargets => !IsProtected
        ? [("the same segment", (ushort)(RealCode >> 4)), ("another segment", 0x1800)]
        :
        [
            ("code, DPL 3", UserCode), ("code, DPL 0", KernelCode), ("conforming code, DPL 0", Conforming), ("call gate, DPL 3", CallGate),
            ("available TSS, DPL 3", TargetTssSelector), ("code in the LDT, DPL 3", (ushort)(UserCode | 4)), ("data, DPL 3", Data3),
        ];

    /// <summary>The scenarios of a code.</summary>
    /// <param name="code">The code.</param>
    /// <param name="encodings">Its encodings.</param>
    public List<OperandState> Build(Code code, IReadOnlyList<byte[]> encodings)
    {
        List<OperandState> states = [];
        foreach (byte[] bytes in encodings)
        {
            foreach (byte[] variant in Variants(code, bytes))
            {
                states.Add(Small(variant, "small numbers"));
                states.Add(Large(variant));
                states.AddRange(Special(code, variant));
            }
        }

        return states;
    }

    /// <summary>INT n with both kinds of gates, ports that exist.</summary>
    private IEnumerable<byte[]> Variants(Code code, byte[] bytes)
    {
        switch (code)
        {
            case Code.Int_imm8:
                yield return encoder.WithImmediate(bytes, [OpenVector]);
                yield return encoder.WithImmediate(bytes, [ClosedVector]);
                break;
            case Code.In_AL_imm8 or Code.In_AX_imm8 or Code.In_EAX_imm8 or Code.Out_imm8_AL or Code.Out_imm8_AX or Code.Out_imm8_EAX:
                yield return encoder.WithImmediate(bytes, [Port]);
                break;
            case Code.Retfd_imm16 or Code.Retfw_imm16 or Code.Retfq_imm16:
                yield return encoder.WithImmediate(bytes, [8, 0]);
                break;
            default:
                yield return bytes;
                break;
        }
    }

    private OperandState Small(byte[] bytes, string name)
    {
        bool narrow = mode is AnalysisMode.Real or AnalysisMode.Virtual8086;
        ulong data = narrow ? 0 : DataPage;
        ulong stack = narrow ? 0 : StackPage;
        ulong[] general = [0x34, 1, 0, data + DataOffset, stack + StackOffset, stack + StackOffset + 0x10, data + DataOffset, data + DestinationOffset, 0, 0, 0, 0, 0, 0, 0, 0];
        for (int i = 8; i < 16; i++) general[i] = (ulong)i;
        var state = new OperandState { Name = name, Bytes = bytes, General = general };
        for (int i = 0; i < StackAbove / 8; i++) state.PutStack(i * 8, (ulong)i + 0x200);
        return state.PutData(0, 1);
    }

    private OperandState Large(byte[] bytes)
    {
        const ulong Flags = RflagsBits.Status;
        OperandState state = Small(bytes, "large numbers, flags set") with { Flags = Flags };
        // A record's copy shares the arrays, which nobody else has.
        state.Set(Rax, 0xffff_fff0).Set(Rcx, 2);
        return state.PutData(0, 0x7fff_ffff_ffff_fff0).PutData(8, 0x3fff);
    }

    private IEnumerable<OperandState> Special(Code code, byte[] bytes)
    {
        Mnemonic mnemonic = code.Mnemonic();
        OpCodeInfo info = code.ToOpCode();
        int size = info.OperandSize != 0 ? info.OperandSize / 8 : encoder.Bits / 8;
        switch (InstructionFamilies.NameOf(code))
        {
            case "LAR" or "LSL" or "VERR" or "VERW" or "ARPL" or "LLDT" or "LTR" or "MOV to Sreg":
                return Selectors.Select(s => Small(bytes, s.Name).Set(Rbx, s.Selector).Set(Rdx, 3).PutData(0, s.Selector, 2));
            case "POP Sreg":
                return Selectors.Select(s => Small(bytes, s.Name).PutStack(0, s.Selector));
            case "LDS" or "LES" or "LFS" or "LGS" or "LSS":
                return Selectors.Select(s => Small(bytes, s.Name).PutData(0, TargetOffset, size).PutData(size, s.Selector, 2));
            case "JMP far" or "CALL far" when code is Code.Jmp_ptr1616 or Code.Jmp_ptr1632 or Code.Call_ptr1616 or Code.Call_ptr1632:
                return CodeTargets.Select(s => Small(encoder.WithImmediate(bytes, FarPointer(size, s.Selector)), s.Name));
            case "JMP far" or "CALL far":
                return CodeTargets.Select(s => Small(bytes, s.Name).PutData(0, TargetOffset, size).PutData(size, s.Selector, 2));
            case "RET far":
                return Frames(bytes, size, code is Code.Retfd_imm16 or Code.Retfw_imm16 or Code.Retfq_imm16 ? 8 : 0, hasFlags: false);
            case "IRET":
                return Frames(bytes, size, 0, hasFlags: true);
            case "POPF":
                return FlagImages(bytes);
            case "LGDT" or "LIDT":
                uint table = mnemonic == Mnemonic.Lgdt ? OtherGdt : OtherIdt;
                return [Small(bytes, "image of another table").PutData(0, TableBytes - 1, 2).PutData(2, table)];
            case "LMSW":
                return [Small(bytes, "other flags").Set(Rbx, ModelState.MachineStatus ^ Cr0.Mp).PutData(0, ModelState.MachineStatus ^ Cr0.Mp, 2)];
            case "MOV to CR":
                return ControlValues(bytes);
            case "MOV to DR":
                return [Small(bytes, "another address or condition").Set(Rbx, 0x500)];
            case "RDMSR":
                return ModelSpecific.Select(m => Small(bytes, $"MSR 0x{m.Number:x}").Set(Rcx, m.Number)).DistinctBy(s => s.Name);
            case "WRMSR":
                return ModelSpecific.Select(m => Small(bytes, $"MSR 0x{m.Number:x} = 0x{m.Value:x}")
                    .Set(Rcx, m.Number).Set(Rax, (uint)m.Value).Set(Rdx, m.Value >> 32));
            case "CPUID":
                return CpuidLeaves.Select(leaf => Small(bytes, $"leaf 0x{leaf:x}").Set(Rax, leaf).Set(Rcx, 0));
            case "BOUND":
                return [Small(bytes, "in bounds").PutData(0, 0x7fff_0000)];
            case "SYSEXIT" or "SYSRET":
                return [Small(bytes, "to the program").Set(Rcx, StackPage + StackOffset).Set(Rdx, CodePage + TargetOffset).Set(11, RflagsBits.Iopl | 2)];
            case "SWAPGS" or "WRFSBASE" or "WRGSBASE":
                return [Small(bytes, "another base").Set(Rbx, DataPage + 0x40)];
            default:
                return [];
        }
    }

    private IEnumerable<OperandState> ControlValues(byte[] bytes)
    {
        Register register = encoder.Decode(bytes).Op0Register;
        ulong value = register switch
        {
            Register.CR0 => ModelState.ControlRegister0(mode) ^ Cr0.Ne,
            Register.CR3 => ModelState.OtherPageTables(mode),
            Register.CR4 => ModelState.ControlRegister4(mode, umip: false) ^ Cr4.De,
            _ => 3,
        };
        yield return Small(bytes, "another value").Set(Rbx, value);
    }

    private IEnumerable<OperandState> FlagImages(byte[] bytes)
    {
        yield return Small(bytes, "IF 0").PutStack(0, RflagsBits.AlwaysOne);
        yield return Small(bytes, "IF 1").PutStack(0, RflagsBits.AlwaysOne | RflagsBits.If);
        yield return Small(bytes, "IOPL 3").PutStack(0, RflagsBits.AlwaysOne | RflagsBits.If | RflagsBits.Iopl);
        yield return Small(bytes, "every flag").PutStack(0, RflagsBits.Defined & ~RflagsBits.Tf);
    }

    /// <summary>What IRET and far RET pop: to every level, with interrupts on and off.</summary>
    private IEnumerable<OperandState> Frames(byte[] bytes, int size, int drop, bool hasFlags)
    {
        ulong[] flags = hasFlags ? [RflagsBits.AlwaysOne, RflagsBits.AlwaysOne | RflagsBits.If | RflagsBits.Iopl] : [0];
        (string, ushort, ushort)[] targets = !IsProtected
            ? [("to the same segment", (ushort)(RealCode >> 4), 0), ("to another segment", 0x1800, 0)]
            :
            [
                ("to code of DPL 3", UserCode, Data3), ("to code of DPL 0", KernelCode, Data0), ("to code of DPL 1", Code1, Data1),
                ("to code of DPL 3 in the LDT", (ushort)(UserCode | 4), (ushort)(Data3 | 4)),
            ];
        foreach (ulong image in flags)
        {
            foreach ((string name, ushort code, ushort stack) in targets)
            {
                string suffix = !hasFlags ? "" : (image & RflagsBits.If) != 0 ? ", IF 1, IOPL 3" : ", IF 0";
                yield return Frame(Small(bytes, name + suffix), code, image, stack);
            }
        }

        if (hasFlags && mode == AnalysisMode.Protected) yield return Frame(Small(bytes, "to virtual-8086 mode"), (ushort)(RealCode >> 4), RflagsBits.Vm | 2, 0x4000);
        if (hasFlags && IsProtected) yield return Small(bytes, "NT 1: to the previous task") with { Flags = RflagsBits.Nt };

        OperandState Frame(OperandState state, ushort code, ulong image, ushort stack)
        {
            int at = 0;
            ulong pointer = IsProtected ? StackPage + StackOffset + 0x20 : StackOffset + 0x20;
            Add(IsProtected ? CodePage + TargetOffset : TargetOffset);
            Add(code);
            if (hasFlags) Add(image);
            at += drop;
            Add(pointer);
            Add(stack);
            return state;

            void Add(ulong value)
            {
                state.PutStack(at, value, size);
                at += size;
            }
        }
    }

    private byte[] FarPointer(int size, ushort selector)
    {
        ulong offset = IsProtected && size > 2 ? CodePage + TargetOffset : TargetOffset;
        byte[] pointer = new byte[size + 2];
        for (int i = 0; i < size; i++) pointer[i] = (byte)(offset >> (i * 8));
        pointer[size] = (byte)selector;
        pointer[size + 1] = (byte)(selector >> 8);
        return pointer;
    }
}
