using System.ComponentModel;
using System.Diagnostics;
using Ringfence.Tests.CommandLine;
using Ringfence.Tests.Support;

namespace Ringfence.Tests.Web;

/// <summary>The page's modules by themselves: their own tests, in Node.js.</summary>
public sealed class PageModuleTests
{
    [SkippableFact]
    public void The_modules_pass_their_own_tests()
    {
        Process node;
        try
        {
            node = RingfenceProcess.StartProgram("node", ["--test", "--test-reporter=tap", .. Directory.GetFiles(FindTests(), "*.test.js")]);
        }
        catch (Win32Exception error)
        {
            if (Browser.IsRequired) throw;
            throw new SkipException($"Node.js: {error.Message}");
        }

        using (node)
        {
            CommandResult result = RingfenceProcess.Finish(node, []);
            result.ExitCode.ShouldBe(0, result.Output + result.Errors);
            result.Output.ShouldContain("# fail 0");
        }
    }

    private static string FindTests()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.ShouldNotBeNull().FullName, "Ringfence.slnx"))) folder = folder.Parent;
        return Path.Combine(folder.FullName, "src", "Ringfence.Web", "Page", "tests");
    }
}
