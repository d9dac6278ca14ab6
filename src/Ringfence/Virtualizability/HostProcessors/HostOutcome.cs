using System.Buffers.Binary;
using System.Globalization;
using Ringfence.Processors;

namespace Ringfence.Virtualizability.HostProcessors;

/// <summary>
/// What a processor, the host's or the model, made of a <see cref="HostCase"/>. Without an answer (<see cref="HostOutcomeKind.Died"/>) all else is 0.
/// </summary>
internal sealed record HostOutcome
{
    private const int PageFault = 14, GeneralProtection = 13;
    private const ulong InstructionFetch = 1 << 4;

    private static readonly string[] VectorNames =
        ["#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "", "#TS", "#NP", "#SS", "#GP", "#PF", "", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"];

    /// <summary>How it ended.</summary>
    public required HostOutcomeKind Kind { get; init; }

    /// <summary>The signal that ended it, such as 11 for SIGSEGV; 0 of the model.</summary>
    public int Signal { get; init; }

    /// <summary>si_code.</summary>
    public int SignalCode { get; init; }

    /// <summary>The exception's vector; of a completed instruction that of the landing pad.</summary>
    public int Vector { get; init; }

    /// <summary>The exception's error code.</summary>
    public ulong ErrorCode { get; init; }

    /// <summary>CR2 after the last page fault.</summary>
    public ulong FaultAddress { get; init; }

    /// <summary>The number of the system call, for <see cref="HostOutcomeKind.SystemCall"/>.</summary>
    public int SystemCallNumber { get; init; }

    /// <summary>It came through one of the 32-bit gates.</summary>
    public bool IsCompatibilityCall { get; init; }

    /// <summary>RIP: the landing pad, or where the exception was raised.</summary>
    public ulong Rip { get; init; }

    /// <summary>RFLAGS without RF, which exceptions save as 1.</summary>
    public ulong Flags { get; init; }

    /// <summary>General registers by their numbers. In compatibility mode only the low halves of the first eight mean anything.</summary>
    public IReadOnlyList<ulong> Registers { get; init; } = [];

    /// <summary>CS.</summary>
    public ushort Cs { get; init; }

    /// <summary>SS.</summary>
    public ushort Ss { get; init; }

    /// <summary>DS. A null selector comes back as 0, whatever its RPL was: the kernel's IRET clears it (Intel SDM 2A, IRET). So do the following.</summary>
    public ushort Ds { get; init; }

    /// <summary>ES.</summary>
    public ushort Es { get; init; }

    /// <summary>FS.</summary>
    public ushort Fs { get; init; }

    /// <summary>GS.</summary>
    public ushort Gs { get; init; }

    /// <summary>The data area.</summary>
    public ReadOnlyMemory<byte> Data { get; init; }

    /// <summary>The stack area.</summary>
    public ReadOnlyMemory<byte> Stack { get; init; }

    /// <summary>For people: the exception with signal and codes, or how it ended.</summary>
    public string Describe() => Kind switch
    {
        HostOutcomeKind.Completed => "completed",
        HostOutcomeKind.Trapped when Signal == 0 => Exception,
        HostOutcomeKind.Trapped => string.Create(CultureInfo.InvariantCulture, $"{Exception}: {SignalName}, code {SignalCode}"),
        HostOutcomeKind.SystemCall => IsCompatibilityCall ? "called the kernel through a 32-bit gate" : "called the kernel",
        HostOutcomeKind.TimedOut => "did not end",
        _ => "ended the process",
    };

    /// <summary>The manual's name of an exception.</summary>
    public static string NameOf(int vector) =>
        vector < VectorNames.Length && VectorNames[vector].Length > 0 ? VectorNames[vector] : string.Create(CultureInfo.InvariantCulture, $"vector {vector}");

    private string Exception => HasErrorCode(Vector)
        ? string.Create(CultureInfo.InvariantCulture, $"{NameOf(Vector)}({(ErrorCode == 0 ? "0" : $"0x{ErrorCode:x}")})")
        : NameOf(Vector);

    private string SignalName => Signal switch
    {
        4 => "SIGILL",
        5 => "SIGTRAP",
        7 => "SIGBUS",
        8 => "SIGFPE",
        11 => "SIGSEGV",
        _ => string.Create(CultureInfo.InvariantCulture, $"signal {Signal}"),
    };

    /// <summary>Does an exception push an error code?</summary>
    public static bool HasErrorCode(int vector) => vector is 8 or (>= 10 and <= 14) or 17 or 21;

    /// <summary>Reads a child's answer.</summary>
    /// <param name="answer">The answer and the two areas, as <see cref="HostProbeRecords"/> has them.</param>
    /// <param name="start">Linear address of the instruction.</param>
    /// <param name="isLandingPad">Tells whether a linear address is one of a landing pad.</param>
    public static HostOutcome Read(ReadOnlyMemory<byte> answer, ulong start, Func<ulong, bool> isLandingPad)
    {
        ReadOnlySpan<byte> information = answer.Span;
        ulong segments = Context(information, HostProbeRecords.ContextSegments);
        var outcome = new HostOutcome
        {
            Kind = HostOutcomeKind.Trapped,
            Signal = BinaryPrimitives.ReadInt32LittleEndian(information[HostProbeRecords.SignalNumber..]),
            SignalCode = BinaryPrimitives.ReadInt32LittleEndian(information[HostProbeRecords.SignalCode..]),
            Vector = (int)Context(information, HostProbeRecords.ContextVector),
            ErrorCode = Context(information, HostProbeRecords.ContextErrorCode),
            FaultAddress = Context(information, HostProbeRecords.ContextCr2),
            Rip = Context(information, HostProbeRecords.ContextRip),
            Flags = Context(information, HostProbeRecords.ContextFlags) & ~RflagsBits.Rf,
            Registers = ReadRegisters(information),
            Cs = (ushort)segments,
            Ss = (ushort)(segments >> 48),
            Ds = Segment(information, 0),
            Es = Segment(information, 1),
            Fs = Segment(information, 2),
            Gs = Segment(information, 3),
            Data = answer.Slice(HostProbeRecords.AnswerBytes, HostProbeLayout.AreaBytes),
            Stack = answer.Slice(HostProbeRecords.AnswerBytes + HostProbeLayout.AreaBytes, HostProbeLayout.AreaBytes),
        };
        const int BadSystemCall = 31, ProcessorTime = 27;
        return outcome.Signal switch
        {
            // Neither comes from an exception: the kernel leaves the vector and the error code of an earlier one in the frame.
            BadSystemCall => outcome with
            {
                Kind = HostOutcomeKind.SystemCall,
                Vector = 0,
                ErrorCode = 0,
                SystemCallNumber = BinaryPrimitives.ReadInt32LittleEndian(information[HostProbeRecords.SystemCallNumber..]),
                IsCompatibilityCall = BinaryPrimitives.ReadInt32LittleEndian(information[HostProbeRecords.SystemCallArchitecture..]) > 0,
            },
            ProcessorTime => outcome with { Kind = HostOutcomeKind.TimedOut, Vector = 0, ErrorCode = 0 },
            _ => outcome.Complete(start, isLandingPad),
        };
    }

    /// <summary>
    /// The instruction has completed if the exception is another's: a landing pad's, or the fetch of the next instruction's where a branch led out
    /// of the code.
    /// </summary>
    /// <param name="start">Linear address of the instruction.</param>
    /// <param name="isLandingPad">Tells whether a linear address is one of a landing pad.</param>
    public HostOutcome Complete(ulong start, Func<ulong, bool> isLandingPad)
    {
        bool landed = (Vector == GeneralProtection && isLandingPad(Rip))
            || (Vector == PageFault && (ErrorCode & InstructionFetch) != 0 && FaultAddress == Rip);
        return Rip != start && landed ? this with { Kind = HostOutcomeKind.Completed } : this;
    }

    private static ulong[] ReadRegisters(ReadOnlySpan<byte> information)
    {
        ulong[] registers = new ulong[16];
        for (int i = 0; i < registers.Length; i++) registers[i] = Context(information, HostProbeRecords.ContextRegisters[i]);
        return registers;
    }

    private static ulong Context(ReadOnlySpan<byte> information, int word) =>
        BinaryPrimitives.ReadUInt64LittleEndian(information[(HostProbeRecords.AnswerContext + (word * 8))..]);

    private static ushort Segment(ReadOnlySpan<byte> information, int index) =>
        BinaryPrimitives.ReadUInt16LittleEndian(information[(HostProbeRecords.AnswerSegments + (index * 8))..]);
}
