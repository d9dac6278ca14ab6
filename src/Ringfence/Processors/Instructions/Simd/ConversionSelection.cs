using System.Numerics;
using Iced.Intel;
using static Ringfence.Processors.Instructions.Simd.PackedConversions;

namespace Ringfence.Processors.Instructions.Simd;

/// <summary>Which handler is which conversion.</summary>
internal static unsafe class ConversionSelection
{
    /// <summary>The handler, or null if the instruction is not here.</summary>
    public static Handler Select<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing
    {
        Handler handler = SelectScalar<TAddressing>(instruction);
        return handler is null ? SelectPacked<TAddressing>(instruction) : handler;
    }

    /// <summary>The scalar conversions, some of which name no SIMD register (CVTSD2SI r, m64).</summary>
    public static Handler SelectScalar<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing
    {
        bool register = instruction.Op1Kind == OpKind.Register;
        return instruction.Code switch
        {
            Code.Cvtsi2ss_xmm_rm32 => FromInteger<uint, int, TAddressing>(register),
            Code.Cvtsi2ss_xmm_rm64 => FromInteger<uint, long, TAddressing>(register),
            Code.Cvtsi2sd_xmm_rm32 => FromInteger<ulong, int, TAddressing>(register),
            Code.Cvtsi2sd_xmm_rm64 => FromInteger<ulong, long, TAddressing>(register),
            Code.Cvtss2si_r32_xmmm32 => ToInteger<uint, int, CurrentRounding, TAddressing>(register),
            Code.Cvtss2si_r64_xmmm32 => ToInteger<uint, long, CurrentRounding, TAddressing>(register),
            Code.Cvtsd2si_r32_xmmm64 => ToInteger<ulong, int, CurrentRounding, TAddressing>(register),
            Code.Cvtsd2si_r64_xmmm64 => ToInteger<ulong, long, CurrentRounding, TAddressing>(register),
            Code.Cvttss2si_r32_xmmm32 => ToInteger<uint, int, Truncation, TAddressing>(register),
            Code.Cvttss2si_r64_xmmm32 => ToInteger<uint, long, Truncation, TAddressing>(register),
            Code.Cvttsd2si_r32_xmmm64 => ToInteger<ulong, int, Truncation, TAddressing>(register),
            Code.Cvttsd2si_r64_xmmm64 => ToInteger<ulong, long, Truncation, TAddressing>(register),
            Code.Cvtss2sd_xmm_xmmm32 => register ? &FormatConversion<TAddressing>.WidenRegister : &FormatConversion<TAddressing>.WidenMemory,
            Code.Cvtsd2ss_xmm_xmmm64 => register ? &FormatConversion<TAddressing>.NarrowRegister : &FormatConversion<TAddressing>.NarrowMemory,
            _ => null,
        };
    }

    private static Handler SelectPacked<TAddressing>(in Instruction instruction)
        where TAddressing : struct, IAddressing
    {
        bool register = instruction.Op1Kind == OpKind.Register;
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Cvtdq2pd:
                return PackedSelection.Element<Int32ToDouble, ulong, TAddressing>(instruction);
            case Mnemonic.Cvtdq2ps:
                return Full<Int32ToSingle, TAddressing>(register);
            case Mnemonic.Cvtps2dq:
                return Full<SingleToInt32<CurrentRounding>, TAddressing>(register);
            case Mnemonic.Cvttps2dq:
                return Full<SingleToInt32<Truncation>, TAddressing>(register);
            case Mnemonic.Cvtpd2dq:
                return Full<DoubleToInt32<CurrentRounding>, TAddressing>(register);
            case Mnemonic.Cvttpd2dq:
                return Full<DoubleToInt32<Truncation>, TAddressing>(register);
            case Mnemonic.Cvtpd2ps:
                return Full<DoubleToSingle, TAddressing>(register);
            case Mnemonic.Cvtps2pd:
                return register
                    ? &PackedConversion<SingleToDouble, TAddressing>.XmmRegister
                    : &PackedConversion<SingleToDouble, TAddressing>.XmmElement;
            case Mnemonic.Cvtps2pi:
                return register
                    ? &PackedConversion<SinglesToMmx<CurrentRounding>, TAddressing>.MmxFromRegister
                    : &PackedConversion<SinglesToMmx<CurrentRounding>, TAddressing>.MmxFromElement;
            case Mnemonic.Cvttps2pi:
                return register
                    ? &PackedConversion<SinglesToMmx<Truncation>, TAddressing>.MmxFromRegister
                    : &PackedConversion<SinglesToMmx<Truncation>, TAddressing>.MmxFromElement;
            case Mnemonic.Cvtpd2pi:
                return register
                    ? &PackedConversion<DoubleToInt32<CurrentRounding>, TAddressing>.MmxFromRegister
                    : &PackedConversion<DoubleToInt32<CurrentRounding>, TAddressing>.MmxFromMemory;
            case Mnemonic.Cvttpd2pi:
                return register
                    ? &PackedConversion<DoubleToInt32<Truncation>, TAddressing>.MmxFromRegister
                    : &PackedConversion<DoubleToInt32<Truncation>, TAddressing>.MmxFromMemory;
            case Mnemonic.Cvtpi2ps:
                return register ? &MmxToFloat<TAddressing>.SinglesRegister : &MmxToFloat<TAddressing>.SinglesMemory;
            case Mnemonic.Cvtpi2pd:
                return register ? &MmxToFloat<TAddressing>.DoublesRegister : &MmxToFloat<TAddressing>.DoublesMemory;
            default:
                return null;
        }
    }

    private static Handler FromInteger<T, TInteger, TAddressing>(bool register)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TInteger : unmanaged, IBinaryInteger<TInteger>
        where TAddressing : struct, IAddressing => register
            ? &IntegerToFloat<T, TInteger, TAddressing>.Register
            : &IntegerToFloat<T, TInteger, TAddressing>.Memory;

    private static Handler ToInteger<T, TInteger, TRounding, TAddressing>(bool register)
        where T : unmanaged, IBinaryInteger<T>, IUnsignedNumber<T>
        where TInteger : unmanaged, IBinaryInteger<TInteger>
        where TRounding : struct, IFloatRounding
        where TAddressing : struct, IAddressing => register
            ? &FloatToInteger<T, TInteger, TRounding, TAddressing>.Register
            : &FloatToInteger<T, TInteger, TRounding, TAddressing>.Memory;

    private static Handler Full<TConversion, TAddressing>(bool register)
        where TConversion : struct, IPackedConversion
        where TAddressing : struct, IAddressing => register
            ? &PackedConversion<TConversion, TAddressing>.XmmRegister
            : &PackedConversion<TConversion, TAddressing>.XmmMemory;
}
