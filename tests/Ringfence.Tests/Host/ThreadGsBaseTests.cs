using System.Collections.Concurrent;
using System.ComponentModel;
using Ringfence.Host;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Host;

[Collection(HostProcessCollection.Name)]
public sealed class ThreadGsBaseTests
{
    [SkippableFact]
    public void Emitted_code_reads_through_the_base_that_was_set()
    {
        Skip.IfNot(FaultRedirection.IsSupported);
        using var code = ReadFirstWord();
        using var block = new FaultBlock();
        block.Data[0] = 0x1234_5678_9abc_def0;
        block.Run(() =>
        {
            block.IsAttached.ShouldBeTrue();
            code.Call().ShouldBe(0x1234_5678_9abc_def0u);
        });
    }

    [SkippableFact]
    public void A_new_thread_inherits_its_creator_s_base()
    {
        Skip.IfNot(FaultRedirection.IsSupported);
        using var block = new FaultBlock();
        bool inherited = false;
        block.Run(() =>
        {
            var child = new Thread(() => inherited = block.IsAttached);
            child.Start();
            child.Join();
        });
        inherited.ShouldBeTrue();
    }

    [SkippableFact]
    public unsafe void An_address_outside_user_space_is_refused()
    {
        Skip.IfNot(FaultRedirection.IsSupported);
        Should.Throw<Win32Exception>(() => ThreadGsBase.Set((void*)(1UL << 63)));
    }

    [SkippableFact]
    public void Every_thread_keeps_its_own_base_across_garbage_collections()
    {
        Skip.IfNot(FaultRedirection.IsSupported);
        using var code = ReadFirstWord();
        FaultBlock[] blocks = [.. Enumerable.Range(0, 8).Select(_ => new FaultBlock())];
        var failures = new ConcurrentBag<Exception>();
        var deadline = TimeSpan.FromMilliseconds(300);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        var threads = new List<Thread>();
        for (int i = 0; i < blocks.Length; i++)
        {
            FaultBlock block = blocks[i];
            ulong own = block.Data[0] = 0x1000 + (ulong)i;
            threads.Add(block.Start(
                () =>
                {
                    while (clock.Elapsed < deadline)
                    {
                        // Garbage, so that threads are stopped in managed code, too.
                        GC.KeepAlive(new byte[1000]);
                        code.Call().ShouldBe(own);
                        block.IsAttached.ShouldBeTrue();
                    }
                },
                failures.Add));
        }

        while (clock.Elapsed < deadline) GC.Collect();
        foreach (Thread thread in threads) thread.Join();
        foreach (FaultBlock block in blocks) block.Dispose();
        failures.ShouldBeEmpty();
    }

    [SkippableFact]
    public async Task Threads_of_the_pool_keep_their_own_base_while_work_moves_between_them()
    {
        Skip.IfNot(FaultRedirection.IsSupported);
        using var code = ReadFirstWord();
        using var blocks = new ThreadLocal<FaultBlock>(trackAllValues: true);
        var workers = new Task[32];
        for (int i = 0; i < workers.Length; i++) workers[i] = Task.Run(Hop);
        for (int i = 0; i < 10; i++)
        {
            GC.Collect();
            await Task.Delay(1);
        }

        await Task.WhenAll(workers);
        foreach (FaultBlock block in blocks.Values) block.Dispose();

        async Task Hop()
        {
            for (int i = 0; i < 100; i++)
            {
                Check();
                if (i % 10 == 0) await Task.Delay(1);
                else await Task.Yield();
            }
        }

        void Check()
        {
            if (blocks.Value is null)
            {
                blocks.Value = new FaultBlock();
                blocks.Value.Data[0] = (ulong)Environment.CurrentManagedThreadId;
                blocks.Value.Attach();
            }

            blocks.Value.IsAttached.ShouldBeTrue();
            code.Call().ShouldBe((ulong)Environment.CurrentManagedThreadId);
        }
    }

    private static EmittedCode ReadFirstWord() => new(assembler =>
    {
        assembler.mov(rax, __qword_ptr.gs[FaultBlock.Offset(0)]);
        assembler.ret();
    });
}
