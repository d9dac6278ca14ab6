using System.Globalization;
using Iced.Intel;
using Ringfence.Host;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Host;

[Collection(HostProcessCollection.Name)]
public sealed unsafe class ExecutableMemoryTests
{
    [SkippableFact]
    public void No_mapping_of_the_memory_is_both_writable_and_executable()
    {
        Skip.IfNot(FaultRedirection.IsSupported);
        using var memory = new ExecutableMemory(10_000);
        memory.Length.ShouldBe((nuint)12_288);
        RightsAt((nuint)memory.Writable, memory.Length).ShouldBe(["rw-s"]);
        RightsAt((nuint)memory.Executable, memory.Length).ShouldBe(["r-xs"]);
        foreach (string rights in RightsAt(ExecutableMemory.ArenaStart, ExecutableMemory.ArenaLength)) rights.ShouldNotContain("w");
    }

    [SkippableFact]
    public void Code_written_through_the_writable_view_runs_through_the_executable_one()
    {
        Skip.IfNot(FaultRedirection.IsSupported);
        using var memory = new ExecutableMemory(4096);
        for (uint value = 1; value < 4; value++)
        {
            Write(memory, value);
            Run(memory).ShouldBe(value);
        }
    }

    [SkippableFact]
    public void Executable_views_lie_in_the_arena_and_know_their_addresses()
    {
        Skip.IfNot(FaultRedirection.IsSupported);
        using var first = new ExecutableMemory(4096);
        using var second = new ExecutableMemory(4096);
        foreach (ExecutableMemory memory in new[] { first, second })
        {
            ((nuint)memory.Executable - ExecutableMemory.ArenaStart).ShouldBeLessThan(ExecutableMemory.ArenaLength);
            ((nuint)memory.Writable - ExecutableMemory.ArenaStart).ShouldBeGreaterThanOrEqualTo(ExecutableMemory.ArenaLength);
            memory.Contains((nuint)memory.Executable).ShouldBeTrue();
            memory.Contains((nuint)memory.Executable + 4095).ShouldBeTrue();
            memory.Contains((nuint)memory.Executable + 4096).ShouldBeFalse();
            memory.Contains((nuint)memory.Executable - 1).ShouldBeFalse();
            memory.Contains((nuint)memory.Writable).ShouldBeFalse();
        }

        first.Contains((nuint)second.Executable).ShouldBeFalse();
    }

    [SkippableFact]
    public void A_freed_slot_is_inaccessible_until_it_is_reused_and_starts_anew()
    {
        Skip.IfNot(FaultRedirection.IsSupported);
        var first = new ExecutableMemory(4096);
        using var second = new ExecutableMemory(4096);
        Write(first, 1);
        Write(second, 2);
        nuint slot = (nuint)first.Executable;
        first.Dispose();
        first.Dispose();
        RightsAt(slot, 4096).ShouldBe(["---p"]);
        first.Contains(slot).ShouldBeFalse();
        Run(second).ShouldBe(2u);

        using var third = new ExecutableMemory(4096);
        ((nuint)third.Executable).ShouldBe(slot);
        new Span<byte>(third.Executable, 4096).IndexOfAnyExcept((byte)0).ShouldBe(-1);
        Write(third, 3);
        Run(third).ShouldBe(3u);
        Run(second).ShouldBe(2u);
    }

    [SkippableFact]
    public void A_page_that_faults_lies_between_two_slots()
    {
        Skip.IfNot(FaultRedirection.IsSupported);
        using var memory = new ExecutableMemory(4096);
        using var next = new ExecutableMemory(4096);
        RightsAt((nuint)memory.Executable + 4096, 4096).ShouldBe(["---p"]);
    }

    [SkippableFact]
    public void More_than_the_arena_holds_is_refused_and_takes_nothing()
    {
        Skip.IfNot(FaultRedirection.IsSupported);
        nuint most = ExecutableMemory.ArenaLength / 2;
        for (int i = 0; i < 8; i++)
        {
            using var half = new ExecutableMemory(most);
            Should.Throw<InsufficientMemoryException>(() => new ExecutableMemory(most));
        }

        Should.Throw<InsufficientMemoryException>(() => new ExecutableMemory(ExecutableMemory.ArenaLength));
        Should.Throw<ArgumentOutOfRangeException>(() => new ExecutableMemory(nuint.MaxValue));
        Should.Throw<ArgumentOutOfRangeException>(() => new ExecutableMemory(0));
    }

    [SkippableFact]
    public void Only_touched_pages_cost_memory()
    {
        Skip.IfNot(FaultRedirection.IsSupported);
        using var memory = new ExecutableMemory(1 << 30);
        Write(memory, 1);
        HostMemory.ResidentBytes(memory.Writable, memory.Length).ShouldBeInRange(1u, 4u << 20);
    }

    private static void Write(ExecutableMemory memory, uint value)
    {
        var assembler = new Assembler(64);
        assembler.mov(eax, value);
        assembler.ret();
        EmittedCode.Write(memory, assembler);
    }

    private static uint Run(ExecutableMemory memory) => ((delegate* unmanaged<uint>)memory.Executable)();

    /// <summary>The rights of all mappings that touch a range of addresses.</summary>
    private static List<string> RightsAt(nuint address, nuint length)
    {
        List<string> rights = [];
        foreach (string line in File.ReadLines("/proc/self/maps"))
        {
            string[] words = line.Split(' ', '-');
            nuint start = nuint.Parse(words[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            nuint end = nuint.Parse(words[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            if (start < address + length && end > address) rights.Add(line.Split(' ')[1]);
        }

        return rights;
    }
}
