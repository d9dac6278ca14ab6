using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Ringfence.Host;

namespace Ringfence.Tests.Host;

/// <summary>The handler called as the function it is, with a signal that was never raised.</summary>
[Collection(HostProcessCollection.Name)]
public sealed unsafe class FaultHandlerCodeTests
{
    private const int Signal = 23;  // SIGURG: nobody else's, and nothing happens by default.
    private const int Raised = 1;
    private const int Sent = 0;
    private const ulong Start = 0x7000_0000_0000;
    private const ulong Length = 0x10_0000_0000;

    private static (int Signal, nint Information, nint Context) _previousCall;

    [SkippableTheory]
    [InlineData(0)]
    [InlineData(0x7fff_ff00)]
    [InlineData(-0x1238)]
    public void The_record_lies_at_the_offset_from_the_thread_s_GS_base(int gsOffset)
    {
        Skip.IfNot(FaultRedirection.IsSupported);
        using var block = new FaultBlock();
        block.Fault->Resume = 0xabcd_ef01_2345;
        ulong next = 0;
        block.Run(() =>
        {
            ThreadGsBase.Set((byte*)block.Fault - gsOffset);
            next = Deliver(gsOffset, PreviousAddress, Raised, Start + 5, 0x1234);
        });
        next.ShouldBe(0xabcd_ef01_2345u);
        block.Fault->InstructionPointer.ShouldBe(Start + 5);
        block.Fault->Address.ShouldBe(0x1234u);
        block.Fault->Signal.ShouldBe((ulong)Signal);
        block.Fault->Resume.ShouldBe(0xabcd_ef01_2345u);
    }

    [SkippableTheory]
    [InlineData(Start, Raised, true)]
    [InlineData(Start + Length - 1, Raised, true)]
    [InlineData(Start - 1, Raised, false)]
    [InlineData(Start + Length, Raised, false)]
    [InlineData(0, Raised, false)]
    [InlineData(Start, Sent, false)]
    [InlineData(Start, -6, false)]
    public void Only_what_the_processor_raises_inside_the_arena_is_redirected(ulong instructionPointer, int code, bool redirected)
    {
        Skip.IfNot(FaultRedirection.IsSupported);
        using var block = new FaultBlock();
        block.Fault->Resume = 1;
        _previousCall = default;
        ulong next = 0;
        block.Run(() => next = Deliver(FaultBlock.GsOffset, PreviousAddress, code, instructionPointer, 0x1234));
        next.ShouldBe(redirected ? 1 : instructionPointer);
        block.Fault->Signal.ShouldBe(redirected ? (ulong)Signal : 0);
        (_previousCall.Signal == Signal && _previousCall.Information != 0 && _previousCall.Context != 0).ShouldBe(!redirected);
    }

    [SkippableTheory]
    [InlineData(SignalAction.Default, Raised, true)]
    [InlineData(SignalAction.Default, Sent, true)]
    [InlineData(SignalAction.Ignore, Raised, true)]
    [InlineData(SignalAction.Ignore, Sent, false)]
    public void Where_there_was_no_handler_the_default_action_comes_back(int previous, int code, bool restored)
    {
        Skip.IfNot(FaultRedirection.IsSupported);
        SignalAction before = NativeSignals.Get(Signal);
        SignalAction action = default;
        action.Handler = PreviousAddress;
        action.Flags = SignalAction.WithInformation;
        NativeSignals.Set(Signal, action);
        try
        {
            Deliver(FaultBlock.GsOffset, previous, code, 0x1000, 0).ShouldBe(0x1000u);
            NativeSignals.Get(Signal).Handler.ShouldBe(restored ? (nint)SignalAction.Default : PreviousAddress);
        }
        finally
        {
            NativeSignals.Set(Signal, before);
        }
    }

    private static nint PreviousAddress => (nint)(delegate* unmanaged[Cdecl]<int, nint, nint, void>)&Previous;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Previous(int signal, nint information, nint context) => _previousCall = (signal, information, context);

    /// <summary>Calls the handler. Returns the RIP of the context afterwards, and checks that nothing else of it changed.</summary>
    private static ulong Deliver(int gsOffset, nint previous, int code, ulong instructionPointer, ulong address)
    {
        const int CodeWord = 2;
        const int AddressWord = 2;
        const int InstructionPointerWord = 21;
        using var memory = new ExecutableMemory(4096);
        byte[] handler = FaultHandlerCode.Assemble((nuint)memory.Executable, unchecked((nuint)Start), unchecked((nuint)Length), gsOffset, previous);
        handler.Length.ShouldBeLessThanOrEqualTo(FaultHandlerCode.MaximumLength);
        handler.CopyTo(new Span<byte>(memory.Writable, handler.Length));

        ulong* information = stackalloc ulong[16];
        ulong* context = stackalloc ulong[128];
        ((int*)information)[CodeWord] = code;
        information[AddressWord] = address;
        for (int i = 0; i < 128; i++) context[i] = (ulong)i * 0x0101_0101_0101_0101;
        context[InstructionPointerWord] = instructionPointer;
        ((delegate* unmanaged<int, void*, void*, void>)memory.Executable)(Signal, information, context);
        for (int i = 0; i < 128; i++)
            if (i != InstructionPointerWord) context[i].ShouldBe((ulong)i * 0x0101_0101_0101_0101);
        return context[InstructionPointerWord];
    }
}
