using Ringfence.Execution.Translation;
using Ringfence.Memory;

namespace Ringfence.Machines;

/// <summary>What a machine is made of and what it starts with.</summary>
public sealed record MachineOptions
{
    /// <summary>Most processors a machine can have.</summary>
    public const int MaxProcessors = 8;

    /// <summary>Least guest RAM in bytes.</summary>
    public const ulong MinMemoryBytes = 1UL << 20;

    /// <summary>Most guest RAM in bytes: what the physical address width leaves room for.</summary>
    public const ulong MaxMemoryBytes = 1UL << (PhysicalMemory.AddressBits - 1);

    /// <summary>Name of the machine, for its threads and messages.</summary>
    public string Name { get; init; } = "ringfence";

    /// <summary>Guest RAM in bytes, a multiple of 4 KiB from <see cref="MinMemoryBytes"/>. Costs host memory only where it is touched.</summary>
    public ulong MemoryBytes { get; init; } = 256UL << 20;

    /// <summary>Processors, 1 to <see cref="MaxProcessors"/>, each on a host thread of its own.</summary>
    public int ProcessorCount { get; init; } = 1;

    /// <summary>What executes guest code.</summary>
    public EngineKind Engine { get; init; } = EngineKind.Auto;

    /// <summary>What a translator's cache holds; null: the default.</summary>
    internal CacheLimits? CacheLimits { get; init; }

    /// <summary>
    /// Guest time follows the count of executed instructions (1 ns each), wall-clock time starts at 2020-01-01 and random numbers come from
    /// <see cref="Seed"/>: without input from outside, or with input written before the start, every run executes the same instructions. One processor only.
    /// </summary>
    public bool Deterministic { get; init; }

    /// <summary>
    /// Seed of the guest's random numbers (RDRAND). Without one they come from the host's generator, or from seed 0 if the machine is
    /// <see cref="Deterministic"/>.
    /// </summary>
    public ulong? Seed { get; init; }

    /// <summary>What the machine starts with.</summary>
    public required BootSource Boot { get; init; }

    /// <summary>Disks, CD-ROM and floppy drives.</summary>
    public IReadOnlyList<DriveOptions> Drives { get; init; } = [];

    /// <summary>The display adapter; null: the machine has none.</summary>
    public DisplayOptions? Display { get; init; }

    /// <summary>A virtio source of entropy.</summary>
    public bool HasEntropySource { get; init; }

    /// <summary>A virtio console, Linux's hvc0 (<see cref="VirtualMachine.VirtioConsole"/>).</summary>
    public bool HasVirtioConsole { get; init; }

    /// <summary>Takes lines for the user, such as that an image was repaired or that the host's disk fails. Any thread.</summary>
    public Action<string>? Report { get; init; }

    /// <summary>Serial ports, 0 to 4: COM1 to COM4 at 3F8h, 2F8h, 3E8h, 2E8h.</summary>
    public int SerialPorts { get; init; } = 2;

    /// <summary>Characters of output that a console keeps; older ones are forgotten.</summary>
    public int TranscriptCharacters { get; init; } = 1 << 20;

    /// <summary>A reset that the guest asks for ends the machine instead of starting it anew.</summary>
    public bool ExitOnReset { get; init; }

    /// <summary>A triple fault resets the machine, as a PC's chipset does, instead of ending it with a report.</summary>
    public bool ResetOnTripleFault { get; init; }

    /// <summary>Times every exit to the monitor (<see cref="MachineStatistics.Time"/>). Costs about 0.1 us an exit.</summary>
    public bool TimeExits { get; init; }

    /// <summary>Where every exit is written to as it happens; implies <see cref="TimeExits"/>. Null: nowhere.</summary>
    public ExitTraceOptions? Trace { get; init; }

    /// <summary>
    /// Counts instructions in every engine (<see cref="MachineStatistics.Instructions"/>); translated code is slower for it, by a tenth where
    /// the guest's kernel works and a third where a program computes.
    /// </summary>
    public bool CountInstructions { get; init; }

    /// <summary>Checks everything that can be checked before the machine is built.</summary>
    /// <exception cref="ArgumentException">Something is out of range; the message is one line.</exception>
    internal void Validate()
    {
        if (MemoryBytes is < MinMemoryBytes or > MaxMemoryBytes) throw new ArgumentException($"A machine has 1 MiB to {MaxMemoryBytes >> 30} GiB of memory.");
        if ((MemoryBytes & 0xfff) != 0) throw new ArgumentException("The memory size must be a multiple of 4 KiB.");
        if (ProcessorCount is < 1 or > MaxProcessors) throw new ArgumentException($"A machine has 1 to {MaxProcessors} processors.");
        if (Deterministic && ProcessorCount != 1) throw new ArgumentException("A deterministic machine has one processor.");
        if (Engine == EngineKind.LockStep && ProcessorCount != 1) throw new ArgumentException("A machine in lock-step has one processor.");
        if (SerialPorts is < 0 or > 4) throw new ArgumentException("A machine has 0 to 4 serial ports.");
        if (TranscriptCharacters < 256) throw new ArgumentException("A console keeps at least 256 characters.");
        if (!Enum.IsDefined(Engine)) throw new ArgumentException("There is no such engine.");
        foreach (DriveOptions drive in Drives)
        {
            if (drive.Path is null && drive.Kind == DriveKind.Disk) throw new ArgumentException("A disk needs an image.");
        }

        if (Drives.Count(d => d.Kind == DriveKind.Floppy) > 2) throw new ArgumentException("A machine has at most two floppy drives.");

        if (Boot is null) throw new ArgumentException("The machine has nothing to start with.");
    }
}
