using System.Runtime.InteropServices;
using System.Text;
using Iced.Intel;
using Ringfence.Tests.FloatingPoint;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Simd;

public sealed unsafe class SimdOnHostTests
{
    private const int Seed = 20260;
    private const ulong StatusBits = Ringfence.Processors.RflagsBits.Status;

    private static readonly ulong[] Interesting =
    [
        0, 1UL << 63, 0x3ff0_0000_0000_0000, 0xbff8_0000_0000_0000, 0x7ff0_0000_0000_0000, 0xfff0_0000_0000_0000, 0x7ff8_0000_0000_1234,
        0x7ff0_0000_0000_0001, 0xfff4_0000_0000_0000, 1, 0x800f_ffff_ffff_ffff, 0x0010_0000_0000_0000, 0x7fef_ffff_ffff_ffff, 0x41df_ffff_ffe0_0000,
        0xc1e0_0000_0000_0000, 0x43e0_0000_0000_0000, 0x4000_0000_0000_0000, 0x3fe0_0000_0000_0000, 0x3810_0000_0000_0000, 0x47ef_ffff_f000_0000,
        0x3690_0000_0000_0000, 0x4018_0000_0000_0000,
    ];

    private static readonly uint[] InterestingSingles =
    [
        0, 1u << 31, 0x3f80_0000, 0xbfc0_0000, 0x7f80_0000, 0xff80_0000, 0x7fc0_1234, 0x7f80_0001, 0xffa0_0000, 1, 0x807f_ffff, 0x0080_0000, 0x7f7f_ffff,
        0x4eff_ffff, 0xcf00_0000, 0x5f00_0000, 0x4000_0000, 0x3f00_0000, 0x40c0_0000, 0x4b80_0001,
    ];

    [EngineFact]
    public void Every_form_does_what_the_host_does()
    {
        Skip.IfNot(HostCode.IsSupported);
        using var guest = new SimdGuest();
        var random = new Random(Seed);
        var failures = new StringBuilder();
        int forms = 0;
        byte* cases = (byte*)NativeMemory.AlignedAlloc(2 * SimdCase.Size, 64);
        foreach (Code code in SimdForms.Codes())
        {
            int variants = HasImmediate(code) ? 16 : 4;
            for (int variant = 0; variant < variants; variant++)
            {
                if (!SimdForms.TryCreate(code, (variant & 1) != 0, random, out Instruction instruction)) continue;
                forms++;
                guest.Load(instruction);
                string? failure = RunCases(guest, instruction, cases, random);
                if (failure is null) continue;
                failures.AppendLine(failure);
                break;
            }
        }

        NativeMemory.AlignedFree(cases);
        forms.ShouldBeGreaterThan(900);
        failures.ToString().ShouldBeEmpty($"seed {Seed}");
    }

    private static bool HasImmediate(Code code)
    {
        OpCodeInfo info = code.ToOpCode();
        return info.OpCount > 0 && info.GetOpKind(info.OpCount - 1) == OpCodeOperandKind.imm8;
    }

    private static string? RunCases(SimdGuest guest, Instruction instruction, byte* cases, Random random)
    {
        using HostCode host = SimdHost.Compile(instruction);
        byte* expected = cases;
        byte* actual = cases + SimdCase.Size;
        for (int i = 0; i < 150; i++)
        {
            Fill(new Span<byte>(expected, SimdCase.Size), random);
            new Span<byte>(expected, SimdCase.Size).CopyTo(new Span<byte>(actual, SimdCase.Size));
            string before = Describe(expected);
            host.Call(expected);
            bool completed = guest.Run(actual);
            *(ulong*)(expected + SimdCase.Flags) &= StatusBits;
            *(ulong*)(actual + SimdCase.Flags) &= StatusBits;
            if (!WritesFlags(instruction)) *(ulong*)(actual + SimdCase.Flags) = *(ulong*)(expected + SimdCase.Flags);
            if (completed && new Span<byte>(expected, SimdCase.Memory + 64).SequenceEqual(new Span<byte>(actual, SimdCase.Memory + 64))) continue;
            return $"{instruction}{(completed ? "" : $" faulted: {guest.Fault?.Vector}")}\n  before {before}\n  host   {Describe(expected)}\n  guest  {Describe(actual)}";
        }

        return null;
    }

    private static bool WritesFlags(Instruction instruction) => instruction.RflagsModified != Iced.Intel.RflagsBits.None;

    private static void Fill(Span<byte> data, Random random)
    {
        random.NextBytes(data);
        int style = random.Next(5);
        for (int i = 0; i < data.Length; i += 8)
        {
            Span<byte> word = data.Slice(i, 8);
            bool special = random.Next(2) == 0;
            ulong value = style switch
            {
                0 => special ? Interesting[random.Next(Interesting.Length)] : BitConverter.ToUInt64(word),
                1 => Single(random) | ((ulong)Single(random) << 32),
                2 => BitConverter.DoubleToUInt64Bits(random.Next(-1000, 1000) * (special ? 1 : 0.37)),
                3 => Near(random) | ((ulong)Near(random) << 32),
                _ => BitConverter.ToUInt64(word) & 0x0003_ff03_ff0f_ff7f,
            };
            BitConverter.TryWriteBytes(word, value);
        }

        uint flags = random.Next(2) == 0 ? 0x20u : (uint)random.Next(64);
        uint modes = random.Next(3) != 0 ? 0 : (uint)random.Next(8) << 13 | (uint)random.Next(2) << 6;
        BitConverter.TryWriteBytes(data[SimdCase.Mxcsr..], 0x1f80u | flags | modes);
        BitConverter.TryWriteBytes(data[SimdCase.Flags..], 0UL);
    }

    private static uint Single(Random random) =>
        random.Next(2) == 0 ? InterestingSingles[random.Next(InterestingSingles.Length)] : (uint)random.NextInt64(1L << 32);

    private static uint Near(Random random) => BitConverter.SingleToUInt32Bits(random.Next(-1000, 1000) * (random.Next(2) == 0 ? 1 : 0.37f));

    private static string Describe(byte* simdCase)
    {
        var text = new StringBuilder();
        for (int i = 0; i < 4; i++) text.Append($"xmm{i} {((ulong*)simdCase)[(2 * i) + 1]:x16}'{((ulong*)simdCase)[2 * i]:x16} ");
        for (int i = 0; i < 4; i++) text.Append($"mm{i} {((ulong*)(simdCase + SimdCase.Mmx))[i]:x16} ");
        for (int i = 0; i < 3; i++) text.Append($"r{i} {((ulong*)(simdCase + SimdCase.General))[i]:x16} ");
        text.Append($"mxcsr {*(uint*)(simdCase + SimdCase.Mxcsr):x} flags {*(ulong*)(simdCase + SimdCase.Flags):x} memory ");
        return text.Append($"{*(ulong*)(simdCase + SimdCase.Memory + 8):x16}'{*(ulong*)(simdCase + SimdCase.Memory):x16}").ToString();
    }
}
