using Ringfence.Tests.Host;
using Ringfence.Virtualizability.HostProcessors;

namespace Ringfence.Tests.Virtualizability;

/// <summary>What the child processes leave behind. Counts descriptors, so nothing runs beside it.</summary>
[Collection(HostProcessCollection.Name)]
public sealed class HostProcessorProbeResourceTests
{
    [SkippableFact]
    public void Neither_process_nor_descriptor_is_left()
    {
        Skip.IfNot(HostProcessorProbe.IsSupported, "Instructions are executed natively on Linux x86-64 only.");
        RunOnce();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        int before = Descriptors();
        var children = new List<int>();
        for (int i = 0; i < 10; i++) children.AddRange(RunOnce());
        children.Count.ShouldBe(20);
        Descriptors().ShouldBeLessThanOrEqualTo(before);
        foreach (int child in children) Directory.Exists($"/proc/{child}").ShouldBeFalse();
    }

    private static List<int> RunOnce()
    {
        var children = new List<int>();
        using var probe = new HostProcessorProbe();
        for (int i = 0; i < 2; i++)
        {
            probe.Execute(new HostCase { Bitness = 64, Code = new byte[] { 0x90 } }).Kind.ShouldBe(HostOutcomeKind.Completed);
            children.Add(probe.ProcessId!.Value);
            if (i == 0) probe.Execute(Ending()).Kind.ShouldBe(HostOutcomeKind.Died);
        }

        return children;
    }

    /// <summary>Code that has the child's own page of code make it exit.</summary>
    private static HostCase Ending()
    {
        byte[] image = HostProbeImage.Build(new HostProbeLayout());
        const int Headers = 0x400;
        int call = Headers + image.AsSpan(Headers).IndexOf([(byte)0x0f, (byte)0x05]);
        return new HostCase { Bitness = 64, Code = new byte[] { 0xff, 0xe1 }, Registers = [HostProbeCode.ExitGroup, HostProbeLayout.ProbeCode + (uint)call] };
    }

    private static int Descriptors() => Directory.GetFileSystemEntries("/proc/self/fd").Length;
}
