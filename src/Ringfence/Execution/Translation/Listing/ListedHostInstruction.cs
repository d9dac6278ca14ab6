namespace Ringfence.Execution.Translation.Listing;

/// <summary>An instruction of emitted code.</summary>
/// <param name="Address">Distance in bytes from the first instruction emitted to the same area (fragments, or rare paths).</param>
/// <param name="Bytes">Its bytes.</param>
/// <param name="Text">In assembler, as NASM writes it; code and fields of the processor's state have names.</param>
/// <param name="Label">What it is there for.</param>
/// <param name="GuestIndex">Which of the unit's instructions it belongs to, from 0; null: to the fragment as a whole.</param>
public sealed record ListedHostInstruction(ulong Address, ReadOnlyMemory<byte> Bytes, string Text, HostCodeLabel Label, int? GuestIndex);
