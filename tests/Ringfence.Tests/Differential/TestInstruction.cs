using Iced.Intel;

namespace Ringfence.Tests.Differential;

/// <summary>One placed instruction.</summary>
/// <param name="Bytes">Its bytes.</param>
/// <param name="Decoded">Iced's view of it, at its address.</param>
/// <param name="Offset">Where it begins, from the map's base.</param>
/// <param name="BranchTarget">Where it may branch to, from the map's base, or 0.</param>
/// <param name="Bitness">64 or 32.</param>
internal sealed record TestInstruction(byte[] Bytes, Instruction Decoded, uint Offset, uint BranchTarget, int Bitness)
{
    /// <summary>Assembler and bytes.</summary>
    public override string ToString()
    {
        NasmFormatter formatter = new();
        StringOutput output = new();
        formatter.Format(Decoded, output);
        return $"{output.ToStringAndReset()}   ; {Convert.ToHexString(Bytes)}, {Decoded.Code}, {Bitness}-bit";
    }
}
