using System.Buffers.Binary;

namespace Ringfence.Virtualizability.HostProcessors;

/// <summary>
/// What the child's data page holds, by offset: the request it reads, the answer it writes, and the arguments of its system calls.
/// A request is <see cref="RequestBytes"/> and the three areas; an answer is <see cref="AnswerBytes"/>, the data and the stack.
/// </summary>
internal static class HostProbeRecords
{
    // The request.
    public const int Request = 0;
    public const int RequestBytes = 0xb0;
    public const int Entry = 0x00;             // far pointer: offset (4), selector (2)
    public const int Flags = 0x08;
    public const int GeneralRegisters = 0x10;  // 16 words, in the order of their numbers
    public const int Ds = 0x90;
    public const int Es = 0x98;
    public const int Fs = 0xa0;
    public const int Gs = 0xa8;

    // The answer: siginfo_t, the general registers of the ucontext_t, the segment registers that it has not.
    public const int Answer = 0x100;
    public const int AnswerBytes = SignalInformationBytes + (ContextWords * 8) + (4 * 8);
    public const int SignalInformationBytes = 128;
    public const int ContextWords = 23;
    public const int AnswerContext = SignalInformationBytes;
    public const int AnswerSegments = AnswerContext + (ContextWords * 8);  // DS, ES, FS, GS

    // siginfo_t.
    public const int SignalNumber = 0;
    public const int SignalCode = 8;
    public const int SystemCallNumber = 24;
    public const int SystemCallArchitecture = 28;

    // Words of a ucontext_t's general registers.
    public const int ContextRip = 16;
    public const int ContextFlags = 17;
    public const int ContextSegments = 18;  // CS, GS, FS, SS
    public const int ContextErrorCode = 19;
    public const int ContextVector = 20;
    public const int ContextCr2 = 22;

    // Arguments of system calls.
    public const int TimerOn = 0x300;
    public const int Zeros = 0x320;  // a timer that is off, no blocked signals, no core file
    public const int SignalAction = 0x340;
    public const int SignalStack = 0x360;
    public const int FilterProgram = 0x380;
    public const int Filter = 0x400;

    /// <summary>Processor time that code under test may take, in microseconds.</summary>
    public const int TimeLimit = 100_000;

    private const int Information = 4, Restorer = 0x0400_0000, OnStack = 0x0800_0000, NoDefer = 0x4000_0000;

    /// <summary>Words of a ucontext_t, in the order of the processor's register numbers.</summary>
    public static ReadOnlySpan<byte> ContextRegisters => [13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7];

    /// <summary>Linear address of something in the data page.</summary>
    public static uint AddressOf(int offset) => HostProbeLayout.ProbeData + (uint)offset;

    /// <summary>Fills in the arguments of system calls.</summary>
    /// <param name="page">The data page.</param>
    /// <param name="handler">Linear address of the signal handler.</param>
    public static void Initialize(Span<byte> page, ulong handler)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(page[(TimerOn + 24)..], TimeLimit);

        // The handler never returns; the kernel asks for a restorer all the same.
        BinaryPrimitives.WriteUInt64LittleEndian(page[SignalAction..], handler);
        BinaryPrimitives.WriteUInt64LittleEndian(page[(SignalAction + 8)..], Information | Restorer | OnStack | NoDefer);
        BinaryPrimitives.WriteUInt64LittleEndian(page[(SignalAction + 16)..], handler);

        BinaryPrimitives.WriteUInt64LittleEndian(page[SignalStack..], HostProbeLayout.ProbeStacks);
        BinaryPrimitives.WriteUInt64LittleEndian(page[(SignalStack + 16)..], HostProbeLayout.SignalStackBytes);

        ulong[] filter = HostProbeFilter.Build();
        BinaryPrimitives.WriteUInt16LittleEndian(page[FilterProgram..], (ushort)filter.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(page[(FilterProgram + 8)..], AddressOf(Filter));
        for (int i = 0; i < filter.Length; i++) BinaryPrimitives.WriteUInt64LittleEndian(page[(Filter + (i * 8))..], filter[i]);
    }
}
