using System.Runtime.InteropServices;
using Iced.Intel;
using Ringfence.Host;

namespace Ringfence.Tests.FloatingPoint;

/// <summary>A piece of machine code on the host's own processor.</summary>
internal sealed unsafe class HostCode : IDisposable
{
    private const nuint Size = 4096;
    private readonly byte* _memory;

    public HostCode(Action<Assembler> emit)
    {
        var assembler = new Assembler(64);
        emit(assembler);
        _memory = NativeMemoryMap.Allocate(Size);
        var writer = new Writer();
        assembler.Assemble(writer, (ulong)_memory);
        writer.Bytes.CopyTo(new Span<byte>(_memory, (int)Size));
        NativeMemoryMap.Protect(_memory, Size, NativeMemoryMap.ProtectRead | NativeMemoryMap.ProtectExecute);
    }

    public static bool IsSupported => RuntimeInformation.ProcessArchitecture == Architecture.X64 && OperatingSystem.IsLinux();

    /// <summary>Calls the code with one pointer (in RDI) and returns RAX.</summary>
    public ulong Call(void* argument) => ((delegate* unmanaged<void*, ulong>)_memory)(argument);

    public void Dispose() => NativeMemoryMap.Unmap(_memory, Size);

    private sealed class Writer : CodeWriter
    {
        private readonly List<byte> _bytes = [];

        public byte[] Bytes => [.. _bytes];

        public override void WriteByte(byte value) => _bytes.Add(value);
    }
}
