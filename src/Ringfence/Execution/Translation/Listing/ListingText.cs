using Iced.Intel;

namespace Ringfence.Execution.Translation.Listing;

/// <summary>How listings write instructions.</summary>
internal static class ListingText
{
    /// <summary>A formatter: NASM's syntax, numbers as C# writes them.</summary>
    public static NasmFormatter Formatter(ISymbolResolver? symbols = null)
    {
        var formatter = new NasmFormatter(symbols);
        FormatterOptions options = formatter.Options;
        options.HexPrefix = "0x";
        options.HexSuffix = "";
        options.UppercaseHex = false;
        options.BranchLeadingZeros = false;
        options.DisplacementLeadingZeros = false;
        options.LeadingZeros = false;
        options.ShowBranchSize = false;
        return formatter;
    }

    /// <summary>One instruction.</summary>
    public static string Format(NasmFormatter formatter, in Instruction instruction)
    {
        var output = new StringOutput();
        formatter.Format(instruction, output);
        // NASM's choice between two encodings of an accumulator's MOV, of no interest here.
        return output.ToStringAndReset().Replace("[qword gs:", "[gs:", StringComparison.Ordinal);
    }
}
