using Iced.Intel;
using Ringfence.Host;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Tests.Host;

/// <summary>
/// Emitted code that faults again and again and looks at every record: (count, unmapped address), returns 0 if each
/// named that address and this code.
/// </summary>
internal sealed unsafe class FaultLoop : IDisposable
{
    private const nuint PageSize = 4096;
    private readonly byte* _unmapped = NativeMemoryMap.Reserve(PageSize);
    private Label _site;
    private Label _resume;

    public FaultLoop() => Code = new EmittedCode(Emit);

    public EmittedCode Code { get; }

    /// <summary>An address that faults.</summary>
    public ulong Unmapped => (ulong)_unmapped;

    /// <summary>Address of the instruction that faults.</summary>
    public ulong Address => Code.AddressOf(_site);

    /// <summary>Lets a thread's faults of this code resume.</summary>
    public void Prepare(FaultBlock block) => block.Fault->Resume = Code.AddressOf(_resume);

    /// <summary>Faults <paramref name="count"/> times at an offset of the unmapped page.</summary>
    public ulong Run(FaultBlock block, ulong count, ulong offset)
    {
        Prepare(block);
        return Code.Call(count, Unmapped + offset);
    }

    public void Dispose()
    {
        Code.Dispose();
        NativeMemoryMap.Unmap(_unmapped, PageSize);
    }

    private void Emit(Assembler assembler)
    {
        _site = assembler.CreateLabel();
        _resume = assembler.CreateLabel();
        Label again = assembler.CreateLabel();
        assembler.xor(eax, eax);
        assembler.Label(ref again);
        assembler.mov(Field(nameof(HostFault.InstructionPointer)), 0);
        assembler.mov(Field(nameof(HostFault.Address)), 0);
        assembler.Label(ref _site);
        assembler.mov(rcx, __[rsi]);
        assembler.int3();

        assembler.Label(ref _resume);
        assembler.mov(rdx, Field(nameof(HostFault.Address)));
        assembler.xor(rdx, rsi);
        assembler.or(rax, rdx);
        assembler.lea(rdx, __[_site]);
        assembler.xor(rdx, Field(nameof(HostFault.InstructionPointer)));
        assembler.or(rax, rdx);
        assembler.dec(rdi);
        assembler.jne(again);
        assembler.ret();
    }

    private static AssemblerMemoryOperand Field(string name) =>
        __qword_ptr.gs[FaultBlock.GsOffset + System.Runtime.InteropServices.Marshal.OffsetOf<HostFault>(name)];
}
