namespace Ringfence.Tests.Support;

/// <summary>What the delivery of an event pushed (Intel SDM 3A 6.12, 6.14).</summary>
/// <param name="ErrorCode">The error code, for the vectors that have one.</param>
/// <param name="Rip">Where the interrupted code continues.</param>
/// <param name="Cs">Its code segment.</param>
/// <param name="Rflags">Its flags.</param>
/// <param name="Rsp">Its stack pointer; without IA-32e mode and without a change of stack, the one above the frame.</param>
internal readonly record struct ExceptionFrame(uint? ErrorCode, ulong Rip, ushort Cs, ulong Rflags, ulong Rsp);
