namespace Ringfence.Execution.Translation.Listing;

/// <summary>A guest instruction.</summary>
/// <param name="Address">Its instruction pointer.</param>
/// <param name="Bytes">Its bytes.</param>
/// <param name="Text">In assembler, as NASM writes it.</param>
public sealed record ListedInstruction(ulong Address, ReadOnlyMemory<byte> Bytes, string Text);
