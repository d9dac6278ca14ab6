using System.Runtime.InteropServices;
using Ringfence.Host;
using Ringfence.Processors;

namespace Ringfence.Tests.Host;

/// <summary>What a thread's GS base reaches: a <see cref="HostFault"/>, and behind it words for the test's code.</summary>
internal sealed unsafe class FaultBlock : IDisposable
{
    private const int Words = 256;

    /// <summary>
    /// The offset that fault redirection has in the test process. It is installed once a process, so this is the one that
    /// the engines under test use: their GS base is the <see cref="VcpuState"/>.
    /// </summary>
    public static readonly int GsOffset = OffsetOfFault();

    private readonly ulong* _memory = (ulong*)NativeMemory.AlignedAlloc((nuint)sizeof(HostFault) + (Words * sizeof(ulong)), 64);

    public FaultBlock() => new Span<ulong>(_memory, (sizeof(HostFault) / sizeof(ulong)) + Words).Clear();

    /// <summary>The record the handler fills.</summary>
    public HostFault* Fault => (HostFault*)_memory;

    /// <summary>The test's own words.</summary>
    public Span<ulong> Data => new(_memory + (sizeof(HostFault) / sizeof(ulong)), Words);

    /// <summary>Where a word of <see cref="Data"/> is from the GS base.</summary>
    public static long Offset(int word) => GsOffset + sizeof(HostFault) + (word * sizeof(ulong));

    private void* GsBase => (byte*)_memory - GsOffset;

    /// <summary>Is it this thread's?</summary>
    public bool IsAttached => ThreadGsBase.Get() == GsBase;

    /// <summary>Makes it this thread's.</summary>
    public void Attach() => ThreadGsBase.Set(GsBase);

    /// <summary>Runs <paramref name="body"/> on a thread of its own, with this block.</summary>
    public Thread Start(Action body, Action<Exception> failed)
    {
        var thread = new Thread(() =>
        {
            try
            {
                Attach();
                body();
            }
            catch (Exception error)
            {
                failed(error);
            }
        });
        thread.Start();
        return thread;
    }

    /// <summary>Runs <paramref name="body"/> to its end on a thread of its own, with this block.</summary>
    public void Run(Action body)
    {
        Exception? failure = null;
        Start(body, error => failure = error).Join();
        if (failure is not null) throw new AggregateException(failure);
    }

    public void Dispose() => NativeMemory.AlignedFree(_memory);

    private static int OffsetOfFault()
    {
        VcpuState state = default;
        return (int)((byte*)&state.Native.Fault - (byte*)&state);
    }
}
