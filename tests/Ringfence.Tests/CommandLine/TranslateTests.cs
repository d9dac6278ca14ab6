using Ringfence.Cli.Commands;
using Ringfence.Execution.Translation.Listing;

namespace Ringfence.Tests.CommandLine;

public sealed class TranslateTests
{
    [SkippableFact]
    public void Guest_code_and_emitted_code_stand_side_by_side()
    {
        Skip.IfNot(TranslationListing.IsSupported);
        CommandResult result = RingfenceProcess.Run("translate", "--bits", "64", "--hex", "89 f9 39 ce 7d 01 90 c3");
        result.Errors.ShouldBeEmpty();
        result.ExitCode.ShouldBe(0);
        result.OutputLines[0].ShouldStartWith("64-bit code at 0x1000: 8 bytes, 6 instructions in 3 units; 3 fragments of ");
        result.Output.ShouldMatch(@"\nunit 1000 +fragment_1000\n");
        result.Output.ShouldMatch(@"\n1000  89 f9  mov ecx,edi +[0-9a-f]{4}  mov ecx,edi +IDENT\n");
        result.Output.ShouldMatch(@"\n1004  7d 01  jge 0x1007 +[0-9a-f]{4}  jge fragment_1007 +JCC\n");
        result.Output.ShouldContain("(fragment_1006 lies behind)");
        result.Output.ShouldNotContain("rare paths\n");
        result.Output.ShouldNotContain("\e");
        result.OutputLines.ShouldAllBe(line => line.TrimEnd() == line);
    }

    [SkippableFact]
    public void Rare_paths_and_bytes_are_shown_when_asked_for()
    {
        Skip.IfNot(TranslationListing.IsSupported);
        CommandResult result = RingfenceProcess.Run("translate", "--rare", "--bytes", "--hex", "8b 07", "--hex", "c3");
        result.ExitCode.ShouldBe(0);
        result.Output.ShouldContain("rare paths\n");
        result.Output.ShouldMatch(@"42 8b 04 2f +mov eax,\[rdi\+r13\] +MEM");
    }

    [SkippableFact]
    public void A_file_is_listed_at_its_origin()
    {
        Skip.IfNot(TranslationListing.IsSupported);
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, [0xfa, 0xeb, 0xfe]);
            CommandResult result = RingfenceProcess.Run("translate", "--bits", "16", "--origin", "0x7c00", path);
            result.ExitCode.ShouldBe(0);
            result.Output.ShouldContain("7c00  fa     cli");
            result.Output.ShouldContain("7c01  eb fe  jmp 0x7c01");

            File.WriteAllBytes(path, []);
            ShouldFail(RingfenceProcess.Run("translate", path), $"{path}: is empty");
            File.WriteAllBytes(path, new byte[TranslationListing.MaxCodeBytes + 1]);
            ShouldFail(RingfenceProcess.Run("translate", path), $"{path}: at most 64 KiB of code can be listed");
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData("", "translate needs a FILE or --hex BYTES; see ringfence translate --help")]
    [InlineData("--hex|89 zz", "--hex: 'zz' is not hexadecimal")]
    [InlineData("--hex|89 f", "--hex: 'f' ends with half a byte")]
    [InlineData("--hex|0x", "--hex: '0x' is not hexadecimal")]
    [InlineData("--hex| ", "--hex: there are no bytes")]
    [InlineData("--hex", "Required argument missing for option: '--hex'")]
    [InlineData("--hex|90|--bits|8", "--bits: '8' is not 16, 32 or 64")]
    [InlineData("--hex|90|--origin|here", "--origin: 'here' is not an address (such as 0x7c00)")]
    [InlineData("--hex|90|--origin|1x", "--origin: '1x' is not an address (such as 0x7c00)")]
    [InlineData("--hex|90|--origin|0x10000000000000000", "--origin: '0x10000000000000000' is not an address (such as 0x7c00)")]
    [InlineData("--hex|90|--bits|16|--origin|0x10000", "--origin: 1 bytes of 16-bit code do not fit at 0x10000")]
    [InlineData("--hex|90|--origin|0x800000000000", "--origin: 1 bytes of 64-bit code do not fit at 0x800000000000")]
    [InlineData("--hex|90|file", "FILE and --hex exclude each other")]
    [InlineData("/nonexistent/code", "/nonexistent/code: no such file or folder")]
    [InlineData("/", "/: is a folder, not a file")]
    [InlineData("--what", "'--what' is not an option; see ringfence translate --help")]
    public void What_cannot_be_done_is_one_line_on_standard_error_and_exit_code_1(string arguments, string expected) =>
        ShouldFail(RingfenceProcess.Run(["translate", .. arguments.Split('|', StringSplitOptions.RemoveEmptyEntries)]), expected);

    [Fact]
    public void Help_ends_with_examples_and_labels()
    {
        CommandResult result = RingfenceProcess.Run("translate", "--help");
        result.ExitCode.ShouldBe(0);
        result.Output.ShouldContain("ringfence translate --bits 16 --origin 0x7c00 bootsector.bin");
        foreach (HostCodeLabel label in Enum.GetValues<HostCodeLabel>().Where(l => l != HostCodeLabel.Count)) result.Output.ShouldContain(label.ToString().ToUpperInvariant());
    }

    [Theory]
    [InlineData("89f9 be02", "89F9BE02")]
    [InlineData("0x89,0xf9\n0xBE", "89F9BE")]
    [InlineData("\\x89\\xf9", "89F9")]
    public void Bytes_may_be_written_in_several_ways(string text, string expected) => Convert.ToHexString(Values.HexBytes("--hex", text)).ShouldBe(expected);

    [Theory]
    [InlineData("0x7C00", 0x7c00UL)]
    [InlineData("4096", 4096UL)]
    [InlineData("0xffffffff81000000", 0xffff_ffff_8100_0000UL)]
    public void Addresses_are_hexadecimal_with_a_prefix(string text, ulong expected) => Values.Address("--origin", text).ShouldBe(expected);

    private static void ShouldFail(CommandResult result, string expected)
    {
        result.ErrorLines.Length.ShouldBe(1, result.Errors);
        result.Errors.ShouldStartWith($"ringfence: {expected}");
        result.OutputBytes.ShouldBeEmpty();
        result.ExitCode.ShouldBe(1);
    }
}
