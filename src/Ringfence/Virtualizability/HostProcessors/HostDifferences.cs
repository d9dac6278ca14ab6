using System.Buffers.Binary;
using Iced.Intel;
using RflagsBits = Ringfence.Processors.RflagsBits;
using UndefinedFlags = Iced.Intel.RflagsBits;

namespace Ringfence.Virtualizability.HostProcessors;

/// <summary>
/// Compares what the host's processor and the model made of the same state, and knows why they may differ although the model is right: a kernel that
/// emulates an instruction, vendors that differ (the model follows Intel's manual), instructions whose result is the processor's own.
/// </summary>
/// <param name="identity">The host's processor.</param>
internal sealed class HostDifferences(HostIdentity identity)
{
    // What Linux gives instead of GDTR, IDTR, CR0 and TR (arch/x86/kernel/umip.c); LDTR is 0 without an LDT. The low 32 bits are the same in all modes.
    private const uint DummyGdtBase = 0xfffe_0000, DummyIdtBase = 0xffff_0000;
    private const ushort DummyMachineStatus = 0x33, DummyTask = 0x40;

    private const string EmulatedByLinux = "UMIP: the processor raised #GP, and Linux emulated the instruction with dummy values.";
    private const string OwnValue = "The value is the processor's own and not compared.";
    private const string SystemsValue = "The value is the host system's own and not compared.";

    /// <summary>Completes an experiment with what differs, and why.</summary>
    /// <param name="experiment">Both outcomes.</param>
    /// <param name="instruction">The instruction, decoded at its address.</param>
    public HostExperiment Compare(HostExperiment experiment, in Instruction instruction)
    {
        HostOutcome host = experiment.Host;
        HostOutcome model = experiment.Model;
        if (IsEmulatedByKernel(experiment, instruction)) return experiment with { IsEmulated = true, Note = EmulatedByLinux };
        bool entersThroughGate = instruction.Mnemonic is Mnemonic.Int or Mnemonic.Int3 or Mnemonic.Into or Mnemonic.Int1
            && host.Kind == HostOutcomeKind.Trapped && host.Vector == VectorOf(instruction);
        experiment = experiment with { IsSoftwareInterrupt = entersThroughGate };
        string? difference = TrapDifference(host, model);
        if (difference is null && host.Kind == HostOutcomeKind.Completed)
        {
            string? own = OwnResult(instruction);
            if (own is not null) return experiment with { Note = own };
            difference = ValueDifference(experiment, instruction);
        }

        return difference is null ? experiment : experiment with { Difference = difference, Note = Explain(experiment, instruction) };
    }

    /// <summary>Whether they trap, with which vector, error code and address.</summary>
    private static string? TrapDifference(HostOutcome host, HostOutcome model)
    {
        const int PageFault = 14;
        if (host.Kind != model.Kind) return "one of them traps";
        if (host.Kind != HostOutcomeKind.Trapped) return null;
        if (host.Vector != model.Vector) return "vector";
        if (host.ErrorCode != model.ErrorCode) return "error code";
        return host.Vector == PageFault && host.FaultAddress != model.FaultAddress ? "fault address" : null;
    }

    private static string? ValueDifference(HostExperiment experiment, in Instruction instruction)
    {
        HostOutcome host = experiment.Host;
        HostOutcome model = experiment.Model;
        bool isLong = experiment.Case.Bitness == 64;
        if (host.Rip != model.Rip) return "instruction pointer";
        for (int i = 0; i < (isLong ? 16 : 8); i++)
            if (((host.Registers[i] ^ model.Registers[i]) & (isLong ? ulong.MaxValue : uint.MaxValue)) != 0) return "general registers";
        if (((host.Flags ^ model.Flags) & ~Undefined(instruction)) != 0) return "flags";
        if ((host.Cs, host.Ss, host.Ds, host.Es, host.Fs, host.Gs) != (model.Cs, model.Ss, model.Ds, model.Es, model.Fs, model.Gs)) return "segment registers";
        if (!host.Data.Span.SequenceEqual(model.Data.Span)) return "memory";
        return host.Stack.Span.SequenceEqual(model.Stack.Span) ? null : "stack";
    }

    private static ulong Undefined(in Instruction instruction)
    {
        UndefinedFlags undefined = instruction.RflagsUndefined;
        ulong bits = 0;
        if ((undefined & UndefinedFlags.CF) != 0) bits |= RflagsBits.Cf;
        if ((undefined & UndefinedFlags.PF) != 0) bits |= RflagsBits.Pf;
        if ((undefined & UndefinedFlags.AF) != 0) bits |= RflagsBits.Af;
        if ((undefined & UndefinedFlags.ZF) != 0) bits |= RflagsBits.Zf;
        if ((undefined & UndefinedFlags.SF) != 0) bits |= RflagsBits.Sf;
        if ((undefined & UndefinedFlags.OF) != 0) bits |= RflagsBits.Of;
        return bits;
    }

    private static int VectorOf(in Instruction instruction) => instruction.Mnemonic switch
    {
        Mnemonic.Int3 => 3,
        Mnemonic.Into => 4,
        Mnemonic.Int1 => 1,
        _ => instruction.Immediate8,
    };

    private static string? OwnResult(in Instruction instruction) => instruction.Mnemonic switch
    {
        Mnemonic.Rdtsc or Mnemonic.Rdtscp => "Linux leaves CR4.TSD 0, so that programs may read the counter; its value is not compared.",
        Mnemonic.Cpuid or Mnemonic.Rdrand or Mnemonic.Rdseed or Mnemonic.Rdpid or Mnemonic.Xgetbv
            or Mnemonic.Fxsave or Mnemonic.Fxsave64 => OwnValue,
        Mnemonic.Sgdt or Mnemonic.Sidt or Mnemonic.Str or Mnemonic.Sldt or Mnemonic.Smsw => SystemsValue,
        _ => null,
    };

    private bool IsEmulatedByKernel(HostExperiment experiment, in Instruction instruction)
    {
        HostOutcome host = experiment.Host;
        if (!identity.Umip || host.Kind != HostOutcomeKind.Completed || experiment.Model.Kind != HostOutcomeKind.Trapped) return false;
        return instruction.Mnemonic switch
        {
            Mnemonic.Sgdt => IsTable(host, DummyGdtBase),
            Mnemonic.Sidt => IsTable(host, DummyIdtBase),
            Mnemonic.Smsw => Stored(experiment, instruction) == DummyMachineStatus,
            Mnemonic.Str => Stored(experiment, instruction) == DummyTask,
            Mnemonic.Sldt => Stored(experiment, instruction) == 0,
            _ => false,
        };

        static bool IsTable(HostOutcome host, uint start)
        {
            ReadOnlySpan<byte> image = host.Data.Span[HostComparison.DataOffset..];
            return BinaryPrimitives.ReadUInt16LittleEndian(image) == 0 && BinaryPrimitives.ReadUInt32LittleEndian(image[2..]) == start;
        }

        static ushort Stored(HostExperiment experiment, in Instruction instruction) => instruction.Op0Kind == OpKind.Register
            ? (ushort)experiment.Host.Registers[instruction.Op0Register.GetFullRegister().GetNumber()]
            : BinaryPrimitives.ReadUInt16LittleEndian(experiment.Host.Data.Span[HostComparison.DataOffset..]);
    }

    /// <summary>Why a difference is not a defect of the model; null: it is one.</summary>
    private string? Explain(HostExperiment experiment, in Instruction instruction)
    {
        const int InvalidOpcode = 6;
        HostOutcome host = experiment.Host;
        bool isCompatibility = experiment.Case.Bitness == 32;
        bool raisesUndefined = host.Kind == HostOutcomeKind.Trapped && host.Vector == InvalidOpcode;
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Syscall or Mnemonic.Sysret or Mnemonic.Sysretq when identity.IsAmd && isCompatibility:
                return "AMD's processors know SYSCALL and SYSRET in compatibility mode; Intel's, which the model follows, raise #UD.";
            case Mnemonic.Sysenter or Mnemonic.Sysexit or Mnemonic.Sysexitq when identity.IsAmd && raisesUndefined:
                return "AMD's processors raise #UD for SYSENTER and SYSEXIT in long mode; Intel's, which the model follows, know them.";
            case Mnemonic.Sysenter or Mnemonic.Int when host.Kind == HostOutcomeKind.Trapped && experiment.Model.Kind == HostOutcomeKind.SystemCall:
                return "The host's kernel has no 32-bit system calls.";
            case Mnemonic.Reservednop or Mnemonic.Prefetch or Mnemonic.Prefetchw when identity.IsAmd && raisesUndefined:
                return "AMD's processors raise #UD for 0F 0D with a register; Intel's, which the model follows, have it as a reserved NOP.";
            case Mnemonic.Lss or Mnemonic.Lfs or Mnemonic.Lgs or Mnemonic.Call or Mnemonic.Jmp when identity.IsAmd && HasWideFarPointer(instruction):
                return "AMD's processors read far pointers with 32-bit offsets in spite of REX.W; Intel's, which the model follows, with 64-bit ones.";
            case Mnemonic.Vmcall or Mnemonic.Vmmcall when identity.Hypervisor:
                return "The host is a virtual machine: its hypervisor answered.";
            default:
                return raisesUndefined && MissingFeature(instruction) is { } feature ? $"The host's processor does not offer {feature}." : null;
        }
    }

    private static bool HasWideFarPointer(in Instruction instruction) => instruction.MemorySize == MemorySize.SegPtr64;

    /// <summary>A feature that the instruction needs and the host's processor or kernel does not offer.</summary>
    private string? MissingFeature(in Instruction instruction)
    {
        foreach (CpuidFeature feature in instruction.CpuidFeatures)
        {
            string? flag = feature switch
            {
                CpuidFeature.SSE3 => "pni",
                CpuidFeature.SSSE3 => "ssse3",
                CpuidFeature.SSE4_1 => "sse4_1",
                CpuidFeature.SSE4_2 => "sse4_2",
                CpuidFeature.POPCNT => "popcnt",
                CpuidFeature.MOVBE => "movbe",
                CpuidFeature.RDRAND => "rdrand",
                CpuidFeature.RDTSCP => "rdtscp",
                CpuidFeature.FSGSBASE => "fsgsbase",
                CpuidFeature.SMAP => "smap",
                CpuidFeature.CMPXCHG16B => "cx16",
                CpuidFeature.MONITOR => "monitor",
                _ => null,
            };
            if (flag is not null && !identity.HasFlag(flag)) return feature.ToString();
        }

        return null;
    }
}
