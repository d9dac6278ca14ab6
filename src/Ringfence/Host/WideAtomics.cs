using System.Runtime.InteropServices;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Host;

/// <summary>
/// The host's 128-bit compare-and-exchange, which .NET does not offer: a few instructions of machine code, emitted once
/// and never changed. Only on x86-64 hosts.
/// </summary>
internal static unsafe class WideAtomics
{
    private const int PageSize = 4096;

    private static readonly Lazy<nint> Code = new(Emit);

    /// <summary>Can this host do it?</summary>
    public static bool IsSupported { get; } = RuntimeInformation.ProcessArchitecture == Architecture.X64 && OperatingSystem.IsLinux();

    /// <summary>
    /// Stores (<paramref name="low"/>, <paramref name="high"/>) at <paramref name="place"/> if it holds <paramref name="expected"/>'s two words; otherwise
    /// copies what it holds to <paramref name="expected"/>. Atomic. True if it stored.
    /// </summary>
    /// <param name="place">16-byte aligned.</param>
    /// <param name="expected">Two words, low first.</param>
    /// <param name="low">Low word of the new value.</param>
    /// <param name="high">High word of the new value.</param>
    public static bool CompareExchange(ulong* place, ulong* expected, ulong low, ulong high) =>
        ((delegate* unmanaged<ulong*, ulong*, ulong, ulong, int>)Code.Value)(place, expected, low, high) != 0;

    private static nint Emit()
    {
        // System V: place in RDI, expected in RSI, low in RDX, high in RCX; RBX belongs to the caller.
        var assembler = new Assembler(64);
        assembler.mov(r9, rbx);
        assembler.mov(rbx, rdx);
        assembler.mov(rax, __[rsi]);
        assembler.mov(rdx, __[rsi + 8]);
        assembler.@lock.cmpxchg16b(__[rdi]);
        assembler.mov(__[rsi], rax);
        assembler.mov(__[rsi + 8], rdx);
        assembler.mov(rbx, r9);
        assembler.sete(al);
        assembler.movzx(eax, al);
        assembler.ret();
        var bytes = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(bytes), 0);
        byte* code = NativeMemoryMap.Allocate(PageSize);
        bytes.ToArray().CopyTo(new Span<byte>(code, PageSize));
        NativeMemoryMap.Protect(code, PageSize, NativeMemoryMap.ProtectRead | NativeMemoryMap.ProtectExecute);
        return (nint)code;
    }
}
