using System.Globalization;
using Iced.Intel;
using Ringfence.Execution.Translation;
using Ringfence.Firmware;
using Ringfence.Guests;
using Ringfence.Machines;
using Ringfence.Memory;
using Ringfence.Processors;
using Ringfence.Processors.Exits;
using Ringfence.Tests.Guests;
using Ringfence.Tests.Support;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Translation;

/// <summary>Caches that are full all the time: whatever runs out, everything is translated again and guests notice nothing.</summary>
public sealed class CacheEvictionTests
{
    private const uint Functions = 0x100000;
    private const int FunctionCount = 600;
    private const uint FunctionBytes = 0x400;
    private const int Rounds = 20;

    [SkippableTheory]
    [InlineData("code", true)]
    [InlineData("code", false)]
    [InlineData("rare paths", true)]
    [InlineData("rare paths", false)]
    [InlineData("pages", false)]
    [InlineData("fragments", false)]
    [InlineData("sites", false)]
    public unsafe void Code_that_never_fits_runs_right(string scarce, bool counts)
    {
        Skip.IfNot(Translator.IsSupported);
        CacheLimits limits = Scarce(scarce);
        using var machine = new BareProcessor(processor => new Translator(processor, limits: limits));
        uint sum = 0;
        for (uint i = 0; i < FunctionCount; i++)
        {
            uint next = i + 1 == FunctionCount ? 0 : Functions + ((i + 1) * FunctionBytes);
            uint value = (i * 0x9e37) ^ 0x55;
            sum = unchecked(sum + value);
            machine.Load(
                a =>
                {
                    Label skip = a.CreateLabel();
                    a.add(eax, (int)value);
                    a.mov(__dword_ptr[edi + 4], eax);
                    a.test(ecx, 1 << (int)(i % 4));
                    a.jz(skip);
                    a.inc(ebx);
                    a.Label(ref skip);
                    a.inc(__dword_ptr[edi]);
                    if (next != 0) a.call(next);
                    a.ret();
                },
                Functions + (i * FunctionBytes));
        }

        machine.Load(a =>
        {
            Label top = a.CreateLabel();
            a.xor(eax, eax);
            a.mov(edi, 0x20000);
            a.mov(ecx, Rounds);
            a.Label(ref top);
            a.call(Functions);
            a.dec(ecx);
            a.jnz(top);
            a.hlt();
        });
        machine.State->InstructionLimit = counts ? ulong.MaxValue - 1 : ulong.MaxValue;
        machine.Engine.Run().ShouldBe(ExitReason.Halt);
        machine.State->Gpr[Gpr.Rax].ShouldBe(unchecked(sum * Rounds));
        machine.Read(0x20000).ShouldBe((uint)(FunctionCount * Rounds));
        machine.Read(0x20004).ShouldBe((uint)machine.State->Gpr[Gpr.Rax]);
        int taken = 0;
        for (int i = 0; i < FunctionCount; i++)
            for (int round = 1; round <= Rounds; round++) taken += (round >> (i % 4)) & 1;
        machine.State->Gpr[Gpr.Rbx].ShouldBe((ulong)taken);
        if (counts) machine.State->InstructionCount.ShouldBe((ulong)(3 + (Rounds * 3) + 1 + taken + (Rounds * ((FunctionCount * 7) - 1))));
        ((Translator)machine.Engine).Statistics.Flushes.ShouldBeGreaterThan(scarce == "rare paths" ? 3 : 10);
    }

    [SkippableFact]
    public unsafe void More_code_segments_than_there_are_numbers_for()
    {
        Skip.IfNot(Translator.IsSupported);
        const uint Last = 0x9fff;
        (Last - 0x1000).ShouldBeGreaterThan((uint)TranslationMode.MaximumCodeContexts);
        Engines.Enter("translator");
        using var machine = new TestMachine();
        var assembler = new Assembler(16);
        assembler.mov(ax, cs);
        assembler.inc(ax);
        assembler.push(ax);
        assembler.push(0);
        assembler.inc(ebx);
        assembler.retf();
        var code = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(code), 0);
        code.Length.ShouldBeLessThanOrEqualTo(16);
        for (uint segment = 0x1000; segment < Last; segment++) machine.Memory.Write(new GuestPhysical(segment << 4), code.ToArray());
        machine.Memory.Write(new GuestPhysical(Last << 4), [0xf4]);
        machine.Load(SegmentIndex.Cs, 0x1000, 0x10000, 0xffff, 0x9b);
        machine.State->Rip = 0;
        machine.State->Gpr[Gpr.Rbx] = 0;
        machine.State->Gpr[Gpr.Rsp] = 0x8000;
        machine.Processor.RefreshMode();
        machine.RunToHalt(10_000_000).ShouldBe(ExitReason.Halt);
        machine.State->Gpr[Gpr.Rbx].ShouldBe(Last - 0x1000UL);
        machine.State->Gpr[Gpr.Rsp].ShouldBe(0x8000UL);
    }

    [SkippableFact]
    public async Task The_built_in_guest_runs_in_a_cache_that_it_does_not_fit_in()
    {
        Skip.IfNot(Translator.IsSupported);
        using VirtualMachine machine = VirtualMachine.Create(new MachineOptions
        {
            MemoryBytes = 64 << 20,
            Engine = EngineKind.Translator,
            CacheLimits = Scarce("code") with { MainBytes = TranslationCache.Reserve + (16 << 10) },
            Boot = new KernelBoot { Kernel = BootFile.FromBytes("built-in guest", BuiltInGuest.CreateImage()) },
        });
        machine.Serial[0].Write("demo\rpi 300\rprimes 3000\rcpuid\rcalls 1000\rspin &\rtasks\ruptime\rmem\rpoweroff\r");
        machine.Start();
        MachineExit exit = await machine.WaitForExitAsync(TimeSpan.FromSeconds(60));
        exit.Reason.ShouldBe(MachineExitReason.PowerOff, exit.Report);
        machine.Serial[0].Output.ShouldContain("430 primes below 3000");
        machine.Serial[0].Output.ShouldContain("registers kept");
        machine.Statistics.Translator!.CacheFlushes.ShouldBeGreaterThan(10);
    }

    [SkippableFact]
    public async Task Debian_boots_in_a_cache_that_it_does_not_fit_in()
    {
        Skip.IfNot(Translator.IsSupported);
        using VirtualMachine machine = VirtualMachine.Create(new MachineOptions
        {
            MemoryBytes = 512UL << 20,
            Engine = EngineKind.Translator,
            ProcessorCount = 2,
            CacheLimits = new CacheLimits { MainBytes = 1 << 20, RareBytes = 1 << 20 },
            Boot = new KernelBoot
            {
                Kernel = BootFile.FromPath(DebianGuests.Require("vmlinuz-cloud-amd64")),
                InitialRamDisks = [BootFile.FromFolder(DebianGuests.Require("rootfs-amd64"))],
                CommandLine = "console=ttyS0 quiet",
            },
        });
        machine.Start();
        await machine.Serial[0].WaitForTextAsync("RINGFENCE-USERLAND", TimeSpan.FromMinutes(2));
        machine.Serial[0].WriteLine("seq 1 1000 | sha256sum | cut -c1-16; poweroff -f");
        MachineExit exit = await machine.WaitForExitAsync(TimeSpan.FromMinutes(1));
        exit.Reason.ShouldBe(MachineExitReason.PowerOff, exit.Report);
        machine.Serial[0].Output.ShouldContain("67d4ff71d43921d5");
        machine.Statistics.Translator!.CacheFlushes.ShouldBeGreaterThan(10);
    }

    private static CacheLimits Scarce(string what) => what switch
    {
        "code" => new CacheLimits { MainBytes = TranslationCache.Reserve + (32 << 10) },
        "rare paths" => new CacheLimits { RareBytes = TranslationCache.Reserve + (16 << 10) },
        "pages" => new CacheLimits { Pages = 20 },
        "fragments" => new CacheLimits { Fragments = 100 },
        "sites" => new CacheLimits { Sites = TranslationCache.ReservedSites + 300 },
        _ => throw new ArgumentOutOfRangeException(nameof(what), what, string.Create(CultureInfo.InvariantCulture, $"No limit of {what}.")),
    };
}
