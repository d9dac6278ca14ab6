using Iced.Intel;
using Ringfence.Processors.Instructions;

namespace Ringfence.Virtualizability.Model;

/// <summary>Every form of an instruction that the processor implements in a mode.</summary>
internal static unsafe class FormCatalogue
{
    /// <summary>The forms.</summary>
    public static List<ModelForm> Create(AnalysisMode mode)
    {
        var encoder = new FormEncoder(mode);
        var builder = new ScenarioBuilder(mode, encoder);
        var formatter = new NasmFormatter(new FormatterOptions { HexPrefix = "0x", HexSuffix = "", UppercaseHex = false, SpaceAfterOperandSeparator = true });
        List<ModelForm> forms = [];
        foreach (Code code in Enum.GetValues<Code>())
        {
            if (!IsCandidate(code, encoder.Bits)) continue;
            List<byte[]> encodings = Encodings(code, encoder).Where(e => IsImplemented(encoder.Decode(e), encoder.Bits == 64)).ToList();
            if (encodings.Count == 0) continue;
            List<OperandState> states = builder.Build(code, encodings);
            var form = new InstructionForm(InstructionFamilies.NameOf(code), code.ToOpCode().ToInstructionString());
            forms.Add(new ModelForm(code, form, states, [.. states.Select(Describe)]));
        }

        return forms;

        OperandScenario Describe(OperandState state)
        {
            var output = new StringOutput();
            formatter.Format(encoder.Decode(state.Bytes), output);
            return new OperandScenario(state.Name, output.ToString(), Convert.ToHexStringLower(state.Bytes));
        }
    }

    private static bool IsCandidate(Code code, int bits)
    {
        OpCodeInfo info = code.ToOpCode();
        if (!info.IsInstruction || info.Encoding != EncodingKind.Legacy || info.Fwait) return false;
        return bits switch { 16 => info.Mode16, 32 => info.Mode32, _ => info.Mode64 };
    }

    private static IEnumerable<byte[]> Encodings(Code code, FormEncoder encoder)
    {
        OpCodeInfo info = code.ToOpCode();
        bool hasModRm = FormEncoder.HasModRm(info);
        int registers = !FormEncoder.HasSystemRegister(info) ? 1 : encoder.Bits == 64 ? 9 : 8;
        const int Usual = 2;
        for (int i = 0; i < registers; i++)
        {
            int register = registers == 1 ? Usual : i;
            if (hasModRm && encoder.TryEncode(code, memory: true, register) is { } inMemory) yield return inMemory;
            if (encoder.TryEncode(code, memory: false, register) is { } inRegister) yield return inRegister;
        }
    }

    private static bool IsImplemented(in Instruction instruction, bool isLong)
    {
        Operation op = default;
        OperationDecoder.Decode(instruction, &op, ModelLayout.CodeOffset, isLong, 1);
        Operation copy = op;
        Handler handler = isLong
            ? InstructionTable.Select<LongAddressing>(instruction, &copy)
            : InstructionTable.Select<SegmentedAddressing>(instruction, &copy);
        return handler is not null;
    }
}
