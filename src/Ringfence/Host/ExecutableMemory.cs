namespace Ringfence.Host;

/// <summary>
/// Memory for emitted code: one anonymous file, mapped once to write to and once to execute from. No address can be both
/// written and executed. Zeroed; a page costs host memory only once it is touched. Linux only.
/// </summary>
/// <remarks>
/// Code that has run and is written again through <see cref="Writable"/> changes under another linear address than it is
/// fetched from: the processor that runs it next must have executed a serializing instruction since (Intel SDM 3A 11.6),
/// and a processor that may be inside needs the protocol of cross-modifying code (SDM 3A 8.1.3). New code in bytes that
/// never ran needs neither.
/// </remarks>
internal sealed unsafe class ExecutableMemory : IDisposable
{
    private const uint PageSize = 4096;

    private int _disposed;

    /// <summary>Maps both views.</summary>
    /// <param name="length">Bytes, rounded up to whole pages; not 0.</param>
    /// <exception cref="InsufficientMemoryException">The arena has no free slot of this size.</exception>
    /// <exception cref="System.ComponentModel.Win32Exception">The host refuses the file or a mapping.</exception>
    public ExecutableMemory(nuint length)
    {
        ArgumentOutOfRangeException.ThrowIfZero(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, ExecutableArena.Length);
        Length = (length + PageSize - 1) & ~(nuint)(PageSize - 1);
        byte* slot = ExecutableArena.Take(Length);
        int file = -1;
        try
        {
            file = NativeMemoryMap.CreateFile("translated-code", Length);
            Writable = NativeMemoryMap.MapFile(null, Length, NativeMemoryMap.ProtectRead | NativeMemoryMap.ProtectWrite, file, 0);
            Executable = NativeMemoryMap.MapFile(slot, Length, NativeMemoryMap.ProtectRead | NativeMemoryMap.ProtectExecute, file, 0);
        }
        catch
        {
            if (Writable is not null) NativeMemoryMap.Unmap(Writable, Length);
            ExecutableArena.Return(slot, Length);
            throw;
        }
        finally
        {
            // The mappings keep the file alive.
            if (file >= 0) NativeMemoryMap.CloseFile(file);
        }
    }

    /// <summary>First address of the arena: every <see cref="Executable"/> of the process lies inside. Never changes.</summary>
    public static nuint ArenaStart => ExecutableArena.Start;

    /// <summary>Bytes of address space the arena has. Never changes.</summary>
    public static nuint ArenaLength => ExecutableArena.Length;

    /// <summary>The view to write to: readable and writable. Null once disposed.</summary>
    public byte* Writable { get; private set; }

    /// <summary>The view to run from: readable and executable, inside the arena. Null once disposed.</summary>
    public byte* Executable { get; private set; }

    /// <summary>Bytes of either view.</summary>
    public nuint Length { get; }

    /// <summary>Does <paramref name="address"/> lie in the executable view?</summary>
    public bool Contains(nuint address) => Executable is not null && address - (nuint)Executable < Length;

    /// <summary>Unmaps both views; the executable one faults from here on and may become another's. Nothing may run inside.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        byte* slot = Executable;
        byte* view = Writable;
        Executable = null;
        Writable = null;
        ExecutableArena.Return(slot, Length);
        NativeMemoryMap.Unmap(view, Length);
    }
}
