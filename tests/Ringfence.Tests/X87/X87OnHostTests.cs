using System.Buffers.Binary;
using System.Text;
using Iced.Intel;
using Ringfence.Processors;
using Ringfence.Processors.FloatingPoint;
using Ringfence.Processors.Instructions.X87;
using Ringfence.Tests.FloatingPoint;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.X87;

/// <summary>
/// Every encoding of D8 to DF against the host's x87 unit, bit for bit, from random states: all rounding and precision controls,
/// masked and unmasked exceptions, empty registers, special values. Transcendental functions: within one unit in the last place.
/// </summary>
public sealed unsafe class X87OnHostTests
{
    private const int CasesAnEncoding = 1500;
    private const int MaximumReported = 4;

    [EngineTheory]
    [InlineData(0xd8)]
    [InlineData(0xd9)]
    [InlineData(0xda)]
    [InlineData(0xdb)]
    [InlineData(0xdc)]
    [InlineData(0xdd)]
    [InlineData(0xde)]
    [InlineData(0xdf)]
    public void All_encodings_of_an_opcode_do_what_the_hosts_unit_does(int opcode)
    {
        Skip.IfNot(HostCode.IsSupported, "needs an x86-64 Linux host");
        using var host = new HostX87();
        var random = new Random(opcode);
        var report = new StringBuilder();
        var perMnemonic = new Dictionary<Mnemonic, int>();
        for (int modrm = 0; modrm < 256; modrm++)
        {
            if (modrm < 0xc0 && (modrm & 0xc7) != 6) continue;
            byte[] bytes = [(byte)opcode, (byte)modrm];
            Instruction instruction = Iced.Intel.Decoder.Create(64, bytes).Decode();
            if (instruction.IsInvalid) continue;
            host.Load(bytes);
            int failures = perMnemonic.GetValueOrDefault(instruction.Mnemonic);
            for (int i = 0; i < CasesAnEncoding && failures < MaximumReported; i++)
            {
                string? difference = Compare(host, random, instruction);
                if (difference is null) continue;
                perMnemonic[instruction.Mnemonic] = ++failures;
                report.AppendLine(difference);
            }
        }

        if (report.Length != 0) Assert.Fail(report.ToString());
    }

    private static bool HasPointers(Code code) => code is Code.Fnstenv_m28byte or Code.Fnsave_m108byte;

    /// <summary>These differ in the last place between processors, and with it in C1 and at the edge of PE and UE.</summary>
    private static bool IsTranscendental(Mnemonic mnemonic) => mnemonic is Mnemonic.Fsin or Mnemonic.Fcos or Mnemonic.Fsincos or Mnemonic.Fptan
        or Mnemonic.Fpatan or Mnemonic.F2xm1 or Mnemonic.Fyl2x or Mnemonic.Fyl2xp1;

    private static bool IsDefined(VcpuState* s, Mnemonic mnemonic)
    {
        int exponent = s->X87SignExponent[s->X87Status >> 11 & 7] & 0x7fff;
        return mnemonic switch
        {
            Mnemonic.F2xm1 => exponent < 0x3fff || (exponent == 0x3fff && s->X87Significand[s->X87Status >> 11 & 7] == 1UL << 63),
            Mnemonic.Fyl2xp1 => exponent < 0x3ffd,
            _ => true,
        };
    }

    private static bool IsNear(ulong significand, ushort signExponent, ulong hostSignificand, ushort hostSignExponent)
    {
        if (((signExponent ^ hostSignExponent) & 0x8000) != 0) return false;
        UInt128 own = new((ulong)(signExponent & 0x7fff), significand << 1);
        UInt128 other = new((ulong)(hostSignExponent & 0x7fff), hostSignificand << 1);
        return (own > other ? own - other : other - own) <= 2;
    }

    private static string? Compare(HostX87 host, Random random, in Instruction instruction)
    {
        VcpuState* s = host.Guest;
        SetRandomState(s, random);
        bool transcendental = IsTranscendental(instruction.Mnemonic);
        if (transcendental && !IsDefined(s, instruction.Mnemonic)) return null;
        byte[] operand = RandomOperand(random, instruction.MemorySize);
        string before = Describe(s, operand);
        host.Execute(operand);
        var difference = new StringBuilder();
        if (s->X87Control != host.HostControl) difference.Append($" CW {s->X87Control:x} host {host.HostControl:x};");
        // The manual says that FCOMI clears C1; AMD's processors leave it.
        int ignored = instruction.Mnemonic is Mnemonic.Fcomi or Mnemonic.Fcomip or Mnemonic.Fucomi or Mnemonic.Fucomip ? X87Unit.C1 : 0;
        if (transcendental && (s->X87Status & FloatExceptions.Precision) != 0) ignored = X87Unit.C1;
        if (((s->X87Status ^ host.HostStatus) & ~ignored) != 0) difference.Append($" SW {s->X87Status:x} host {host.HostStatus:x};");
        if (s->X87Tag != host.HostTag) difference.Append($" TW {s->X87Tag:x} host {host.HostTag:x};");
        int top = s->X87Status >> 11 & 7;
        for (int i = 0; i < 8; i++)
        {
            int r = (top + i) & 7;
            if ((s->X87Tag >> r & 1) == 0) continue;
            if (transcendental && IsNear(s->X87Significand[r], s->X87SignExponent[r], host.HostSignificand(i), host.HostSignExponent(i))) continue;
            if (s->X87Significand[r] != host.HostSignificand(i) || s->X87SignExponent[r] != host.HostSignExponent(i))
                difference.Append($" ST{i} {s->X87SignExponent[r]:x4}:{s->X87Significand[r]:x16} host {host.HostSignExponent(i):x4}:{host.HostSignificand(i):x16};");
        }

        if ((s->Rflags & Processors.RflagsBits.Status) != host.HostFlags) difference.Append($" flags {s->Rflags & Processors.RflagsBits.Status:x} host {host.HostFlags:x};");
        if (s->Gpr[0] != host.HostAccumulator) difference.Append($" RAX {s->Gpr[0]:x} host {host.HostAccumulator:x};");
        byte[] memory = host.GuestOperandBytes;
        if (HasPointers(instruction.Code)) host.HostOperand.Slice(12, 16).CopyTo(memory.AsSpan(12));
        if (!host.HostOperand.SequenceEqual(memory))
            difference.Append($" memory {Convert.ToHexString(memory.AsSpan(0, 12))} host {Convert.ToHexString(host.HostOperand[..12])};");
        return difference.Length == 0 ? null : $"{instruction}: {before}\n    {difference}";
    }

    private static void SetRandomState(VcpuState* s, Random random)
    {
        int precision = random.Next(2) == 0 ? 3 : new[] { 0, 2, 3 }[random.Next(3)];
        int masks = random.Next(2) == 0 ? 0x3f : random.Next(64);
        s->X87Control = (ushort)(0x40 | masks | (precision << 8) | (random.Next(4) << 10));
        int sticky = random.Next(2) == 0 ? 0 : random.Next(64) & masks;
        s->X87Status = (ushort)((random.Next(0x10000) & 0x7f00) | sticky);
        s->X87Tag = (byte)(random.Next(4) == 0 ? random.Next(256) : ~(1 << random.Next(8)) & (random.Next(2) == 0 ? ~(1 << ((s->X87Status >> 11) - 1 & 7)) : 255));
        for (int i = 0; i < 8; i++)
        {
            Floatx80 value = Floatx80Samples.Next(random);
            s->X87SignExponent[i] = value.SignExponent;
            s->X87Significand[i] = value.Significand;
        }

        s->Rflags = Processors.RflagsBits.AlwaysOne | ((ulong)random.Next(0x1000) & Processors.RflagsBits.Status);
        s->Gpr[0] = (ulong)random.NextInt64();
    }

    private static byte[] RandomOperand(Random random, MemorySize size)
    {
        byte[] bytes = new byte[128];
        random.NextBytes(bytes);
        switch (size)
        {
            case MemorySize.Float32:
                BinaryPrimitives.WriteUInt32LittleEndian(bytes, FloatSamples.Next<uint>(random));
                break;
            case MemorySize.Float64:
                BinaryPrimitives.WriteUInt64LittleEndian(bytes, FloatSamples.Next<ulong>(random));
                break;
            case MemorySize.Float80:
                Floatx80 value = Floatx80Samples.Next(random);
                BinaryPrimitives.WriteUInt64LittleEndian(bytes, value.Significand);
                BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), value.SignExponent);
                break;
            case MemorySize.Int16 or MemorySize.Int32 or MemorySize.Int64 when random.Next(3) == 0:
                BinaryPrimitives.WriteInt64LittleEndian(bytes, random.Next(-3, 4));
                break;
            case MemorySize.Bcd:
                for (int i = 0; i < 9; i++) bytes[i] = (byte)(random.Next(10) | random.Next(10) << 4);
                if (random.Next(4) == 0) bytes.AsSpan(random.Next(9), 1).Clear();
                break;
            default:
                break;
        }

        return bytes;
    }

    private static string Describe(VcpuState* s, byte[] operand)
    {
        int top = s->X87Status >> 11 & 7;
        return $"CW {s->X87Control:x} SW {s->X87Status:x} TW {s->X87Tag:x} ST0 {s->X87SignExponent[top]:x4}:{s->X87Significand[top]:x16}"
            + $" ST1 {s->X87SignExponent[(top + 1) & 7]:x4}:{s->X87Significand[(top + 1) & 7]:x16}"
            + string.Concat(Enumerable.Range(2, 6).Select(i => $" {s->X87SignExponent[(top + i) & 7]:x4}:{s->X87Significand[(top + i) & 7]:x16}"))
            + $" memory {Convert.ToHexString(operand.AsSpan(0, 10))}";
    }
}
