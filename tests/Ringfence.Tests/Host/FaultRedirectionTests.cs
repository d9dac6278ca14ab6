using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Iced.Intel;
using Ringfence.Host;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Host;

[Collection(HostProcessCollection.Name)]
public sealed unsafe class FaultRedirectionTests
{
    private const int Rax = 0;
    private const int Rcx = 1;
    private const nuint PageSize = 4096;

    // CF, PF, AF, ZF, SF, DF, OF; IF and bit 1 are always set.
    private const ulong AllFlags = 0xed5;
    private const ulong FixedFlags = 0x202;

    private static EmittedCode? _inCallback;

    [SkippableFact]
    public void It_is_installed_once_with_one_offset()
    {
        Install();
        Parallel.For(0, 8, _ => FaultRedirection.Install(FaultBlock.GsOffset));
        nint handler = NativeSignals.Get(NativeSignals.SegmentationFault).Handler;
        FaultRedirection.Install(FaultBlock.GsOffset);
        NativeSignals.Get(NativeSignals.SegmentationFault).Handler.ShouldBe(handler);
        Should.Throw<InvalidOperationException>(() => FaultRedirection.Install(FaultBlock.GsOffset + 8));
    }

    [SkippableTheory]
    [InlineData(0)]
    [InlineData(AllFlags)]
    public void A_load_from_an_unmapped_address_is_redirected_with_all_registers_and_flags(ulong flags)
    {
        Install();
        byte* unmapped = NativeMemoryMap.Reserve(PageSize);
        Check(a => a.mov(rbx, __[rax + (rcx * 8) + 0x10]), NativeSignals.SegmentationFault, (ulong)unmapped + 0x123, flags, registers =>
        {
            registers[Rax] = (ulong)unmapped + 0x103;
            registers[Rcx] = 2;
        });
        NativeMemoryMap.Unmap(unmapped, PageSize);
    }

    [SkippableFact]
    public void A_store_to_a_read_only_page_is_redirected()
    {
        Install();
        byte* page = NativeMemoryMap.Allocate(PageSize);
        NativeMemoryMap.Protect(page, PageSize, NativeMemoryMap.ProtectRead);
        Check(a => a.add(__dword_ptr[rax], 1), NativeSignals.SegmentationFault, (ulong)page + 8, AllFlags, registers => registers[Rax] = (ulong)page + 8);
        NativeMemoryMap.Unmap(page, PageSize);
    }

    [SkippableFact]
    public void An_address_that_is_not_canonical_is_redirected_but_the_host_names_no_address()
    {
        Install();
        Check(a => a.mov(rbx, __[rax]), NativeSignals.SegmentationFault, 0, AllFlags, registers => registers[Rax] = 1UL << 63);
    }

    [SkippableFact]
    public void A_page_behind_the_end_of_a_file_is_redirected_as_bus_error()
    {
        Install();
        int file = NativeMemoryMap.CreateFile("fault-test", PageSize);
        byte* view = NativeMemoryMap.MapFile(null, 2 * PageSize, NativeMemoryMap.ProtectRead, file, 0);
        NativeMemoryMap.CloseFile(file);
        ulong behind = (ulong)view + PageSize + 1;
        Check(a => a.mov(bl, __[rax]), NativeSignals.BusError, behind, AllFlags, registers => registers[Rax] = behind);
        NativeMemoryMap.Unmap(view, 2 * PageSize);
    }

    [SkippableTheory]
    [InlineData(0)]
    [InlineData(AllFlags)]
    public void A_division_by_zero_is_redirected_with_all_registers_and_flags(ulong flags)
    {
        Install();
        Check(a => a.div(rcx), NativeSignals.FloatingPoint, null, flags, registers => registers[Rcx] = 0);
    }

    [SkippableFact]
    public void An_invalid_opcode_is_redirected()
    {
        Install();
        Check(a => a.ud2(), NativeSignals.IllegalInstruction, null, AllFlags, _ => { });
    }

    [SkippableFact]
    public void Code_that_runs_off_its_end_is_redirected()
    {
        Install();
        using var code = new EmittedCode(a => a.ret());
        ulong end = (ulong)code.Entry + 4096;
        using var block = new FaultBlock();
        using var caller = new EmittedCode(a => a.jmp(rdi));
        block.Fault->Resume = (ulong)code.Entry;
        block.Run(() => caller.Call(end));
        (block.Fault->InstructionPointer, block.Fault->Address).ShouldBe((end, end));
    }

    [SkippableFact]
    public void Every_thread_s_faults_reach_its_own_block()
    {
        Install();
        using FaultLoop loop = new();
        RunOnThreads(8, (i, block) =>
        {
            for (int round = 0; round < 20; round++) loop.Run(block, 1000, (ulong)i * 64).ShouldBe(0u);
        });
    }

    [SkippableFact]
    public void Managed_code_keeps_its_exceptions_on_all_threads_while_emitted_code_faults()
    {
        Install();
        using FaultLoop loop = new();
        RunOnThreads(8, (i, block) =>
        {
            for (int round = 0; round < 50; round++)
            {
                Should.Throw<NullReferenceException>(() => LengthOf(null));
                Should.Throw<DivideByZeroException>(() => Divide(round, 0));
                Should.Throw<OverflowException>(() => Divide(int.MinValue, -1));
                if (i % 2 == 0) loop.Run(block, 10, (ulong)i).ShouldBe(0u);
            }
        });
    }

    [SkippableFact]
    public void Managed_code_called_by_emitted_code_keeps_its_exceptions()
    {
        Install();
        using FaultLoop loop = new();
        using var code = new EmittedCode(a =>
        {
            a.sub(rsp, 8);
            a.mov(rax, (ulong)(delegate* unmanaged<ulong>)&CatchAndCollect);
            a.call(rax);
            a.add(rsp, 8);
            a.jmp(__qword_ptr.gs[FaultBlock.Offset(0)]);
        });
        using var last = new EmittedCode(a =>
        {
            a.add(rax, 1);
            a.ret();
        });
        using var block = new FaultBlock();
        block.Data[0] = (ulong)last.Entry;
        _inCallback = loop.Code;
        block.Run(() =>
        {
            loop.Prepare(block);
            code.Call().ShouldBe(4u);
        });
    }

    [SkippableFact]
    public void Emitted_code_that_ran_through_garbage_collections_jumps_on_and_faults_as_before()
    {
        Install();
        using FaultLoop loop = new();

        // Waits until a word is set, then jumps to the loop of faults in another memory.
        using var waiting = new EmittedCode(a =>
        {
            Label again = a.CreateLabel();
            a.mov(__qword_ptr.gs[FaultBlock.Offset(1)], 1);
            a.Label(ref again);
            a.pause();
            a.cmp(__qword_ptr.gs[FaultBlock.Offset(0)], 0);
            a.je(again);
            a.mov(rax, (ulong)loop.Code.Entry);
            a.jmp(rax);
        });
        using var block = new FaultBlock();
        loop.Prepare(block);
        Exception? failure = null;
        Thread thread = block.Start(() => waiting.Call(100, loop.Unmapped).ShouldBe(0u), error => failure = error);
        SpinWait.SpinUntil(() => Volatile.Read(ref block.Data[1]) != 0);
        for (int i = 0; i < 10; i++) GC.Collect(GC.MaxGeneration, GCCollectionMode.Forced, blocking: true, compacting: true);
        Volatile.Write(ref block.Data[0], 1);
        thread.Join();
        failure.ShouldBeNull();
        block.Fault->InstructionPointer.ShouldBe(loop.Address);
    }

    private static void Install()
    {
        Skip.IfNot(FaultRedirection.IsSupported);
        FaultRedirection.Install(FaultBlock.GsOffset);
    }

    /// <summary>Lets one instruction fault. Without an <paramref name="address"/>, it is the instruction's own.</summary>
    private static void Check(Action<Assembler> instruction, int signal, ulong? address, ulong flags, Action<ulong[]> set)
    {
        using FaultSite site = new(instruction);
        using FaultBlock block = new();
        var random = new Random(1);
        ulong[] registers = new ulong[FaultSite.GeneralRegisters];
        for (int i = 0; i < registers.Length; i++) registers[i] = (ulong)random.NextInt64();
        set(registers);
        registers.CopyTo(block.Data[FaultSite.RegistersBefore..]);
        block.Data[FaultSite.FlagsBefore] = flags | FixedFlags;
        block.Data[FaultSite.ControlBefore] = 0x7fbf;  // Truncating, all exceptions masked and all their flags set.
        Span<ulong> vectors = block.Data.Slice(FaultSite.VectorsBefore, FaultSite.VectorRegisterWords);
        random.NextBytes(MemoryMarshal.AsBytes(vectors));

        site.Run(block);

        block.Fault->InstructionPointer.ShouldBe(site.Address);
        block.Fault->Address.ShouldBe(address ?? site.Address);
        block.Fault->Signal.ShouldBe((ulong)signal);
        registers[FaultSite.StackPointer] = block.Data[FaultSite.RegistersBefore + FaultSite.StackPointer];
        block.Data.Slice(FaultSite.RegistersAfter, registers.Length).ToArray().ShouldBe(registers);
        block.Data[FaultSite.FlagsAfter].ShouldBe(flags | FixedFlags);
        block.Data[FaultSite.ControlAfter].ShouldBe(0x7fbfu);
        block.Data.Slice(FaultSite.VectorsAfter, FaultSite.VectorRegisterWords).ToArray().ShouldBe(vectors.ToArray());
    }

    private static void RunOnThreads(int count, Action<int, FaultBlock> body)
    {
        var failures = new ConcurrentBag<Exception>();
        FaultBlock[] blocks = [.. Enumerable.Range(0, count).Select(_ => new FaultBlock())];
        using var start = new Barrier(count);
        Thread[] threads = [.. blocks.Select((block, i) => block.Start(
            () =>
            {
                start.SignalAndWait();
                body(i, block);
            },
            failures.Add))];
        foreach (Thread thread in threads) thread.Join();
        foreach (FaultBlock block in blocks) block.Dispose();
        failures.ShouldBeEmpty();
    }

    /// <summary>Catches three exceptions, collects garbage and lets emitted code fault. Returns 3.</summary>
    [UnmanagedCallersOnly]
    private static ulong CatchAndCollect()
    {
        ulong caught = 0;
        try
        {
            _ = LengthOf(null);
        }
        catch (NullReferenceException)
        {
            caught++;
        }

        try
        {
            _ = Divide(1, 0);
        }
        catch (DivideByZeroException)
        {
            caught++;
        }

        GC.Collect();
        byte* unmapped = NativeMemoryMap.Reserve(PageSize);
        if (_inCallback!.Call(10, (ulong)unmapped) == 0) caught++;
        NativeMemoryMap.Unmap(unmapped, PageSize);
        return caught;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int LengthOf(string? text) => text!.Length;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Divide(int dividend, int divisor) => dividend / divisor;
}
