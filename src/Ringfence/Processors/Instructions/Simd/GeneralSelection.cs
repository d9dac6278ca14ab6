using Iced.Intel;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>Which handler is which instruction that names no SIMD register.</summary>
internal static unsafe class GeneralSelection
{
    /// <summary>The handler, or null if the instruction is not here.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Prefetchnta or Mnemonic.Prefetcht0 or Mnemonic.Prefetcht1 or Mnemonic.Prefetcht2 or Mnemonic.Prefetch
                or Mnemonic.Prefetchw or Mnemonic.Prefetchwt1 or Mnemonic.Lfence or Mnemonic.Sfence:
                return &SimdGeneral<TAddressing>.Nothing;
            case Mnemonic.Mfence:
                return &SimdGeneral<TAddressing>.Fence;
            case Mnemonic.Clflush:
                return &SimdGeneral<TAddressing>.FlushLine;
            case Mnemonic.Ldmxcsr:
                return &SimdControl<TAddressing>.LoadMxcsr;
            case Mnemonic.Stmxcsr:
                return &SimdControl<TAddressing>.StoreMxcsr;
            case Mnemonic.Emms:
                return &SimdControl<TAddressing>.EmptyMmx;
            case Mnemonic.Fxsave or Mnemonic.Fxsave64:
                return &SimdControl<TAddressing>.Save;
            case Mnemonic.Fxrstor or Mnemonic.Fxrstor64:
                return &SimdControl<TAddressing>.Restore;
            case Mnemonic.Movnti:
                return instruction.Code == Code.Movnti_m64_r64 ? &Moves<TAddressing>.StoreGeneral<ulong> : &Moves<TAddressing>.StoreGeneral<uint>;
            case Mnemonic.Crc32:
                return SelectCrc32<TAddressing>(instruction);
            default:
                return instruction.Code is >= Code.Prefetchreserved3_m8 and <= Code.Prefetchreserved7_m8
                    ? &SimdGeneral<TAddressing>.Nothing : null;
        }
    }

    private static Handler SelectCrc32<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing
    {
        bool register = instruction.Op1Kind == OpKind.Register;
        return instruction.Code switch
        {
            Code.Crc32_r32_rm8 or Code.Crc32_r64_rm8 =>
                register ? &SimdGeneral<TAddressing>.Crc32Register<byte> : &SimdGeneral<TAddressing>.Crc32Memory<byte>,
            Code.Crc32_r32_rm16 =>
                register ? &SimdGeneral<TAddressing>.Crc32Register<ushort> : &SimdGeneral<TAddressing>.Crc32Memory<ushort>,
            Code.Crc32_r32_rm32 =>
                register ? &SimdGeneral<TAddressing>.Crc32Register<uint> : &SimdGeneral<TAddressing>.Crc32Memory<uint>,
            Code.Crc32_r64_rm64 =>
                register ? &SimdGeneral<TAddressing>.Crc32Register<ulong> : &SimdGeneral<TAddressing>.Crc32Memory<ulong>,
            _ => null,
        };
    }
}
