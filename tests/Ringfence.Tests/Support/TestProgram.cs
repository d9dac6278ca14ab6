using Ringfence.Tests.Storage;

namespace Ringfence.Tests.Support;

/// <summary>The test assembly as a program: parts of tests that need a process of their own, because it is going to be killed.</summary>
internal static class TestProgram
{
    public static int Main(string[] arguments)
    {
        if (arguments is not ["write-records", string path, string seed])
        {
            Console.Error.WriteLine("This program is run by tests.");
            return 1;
        }

        new Thread(EndWithParent) { IsBackground = true }.Start();
        RecordWriter.Run(path, int.Parse(seed));
        return 0;
    }

    /// <summary>Whatever ends the tests ends this process, too: its input ends then.</summary>
    private static void EndWithParent()
    {
        using Stream input = Console.OpenStandardInput();
        while (input.ReadByte() >= 0)
        {
        }

        Environment.Exit(0);
    }
}
