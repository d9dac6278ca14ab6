using Iced.Intel;
using Ringfence.Host;

namespace Ringfence.Tests.Host;

/// <summary>Machine code in an <see cref="ExecutableMemory"/> of its own.</summary>
internal sealed unsafe class EmittedCode : IDisposable
{
    private readonly AssemblerResult _result;

    public EmittedCode(Action<Assembler> emit)
    {
        var assembler = new Assembler(64);
        emit(assembler);
        _result = Write(Memory, assembler);
    }

    public ExecutableMemory Memory { get; } = new(4096);

    /// <summary>Address of the first instruction.</summary>
    public nint Entry => (nint)Memory.Executable;

    /// <summary>Writes code to the start of <paramref name="memory"/>.</summary>
    public static AssemblerResult Write(ExecutableMemory memory, Assembler assembler)
    {
        var bytes = new MemoryStream();
        AssemblerResult result = assembler.Assemble(
            new StreamCodeWriter(bytes), (ulong)memory.Executable, BlockEncoderOptions.ReturnNewInstructionOffsets);
        bytes.ToArray().CopyTo(new Span<byte>(memory.Writable, (int)memory.Length));
        return result;
    }

    /// <summary>Address of a label.</summary>
    public ulong AddressOf(Label label) => _result.GetLabelRIP(label);

    /// <summary>Calls the code with up to two arguments (RDI, RSI) and returns RAX.</summary>
    public ulong Call(ulong first = 0, ulong second = 0) => ((delegate* unmanaged<ulong, ulong, ulong>)Entry)(first, second);

    public void Dispose() => Memory.Dispose();
}
