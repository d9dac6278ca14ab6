using Iced.Intel;
using Ringfence.Processors.Instructions.X87;

namespace Ringfence.Tests.X87;

public sealed class X87EncodingTests
{
    [Theory]
    [InlineData(16)]
    [InlineData(32)]
    [InlineData(64)]
    public void The_last_opcode_is_made_of_the_instructions_own_bytes(int bitness)
    {
        int checkedEncodings = 0;
        for (int opcode = 0xd8; opcode <= 0xdf; opcode++)
        {
            for (int modrm = 0; modrm < 256; modrm++)
            {
                // SIB byte 98h: base EAX, index EBX, scale 4.
                byte[] bytes = [(byte)opcode, (byte)modrm, 0x98, 0x10, 0x20, 0x30, 0x40, 0x50];
                Instruction instruction = Decoder.Create(bitness, bytes).Decode();
                if (instruction.IsInvalid) continue;
                X87Encoding.FopOf(instruction).ShouldBe(((opcode & 7) << 8) | modrm, $"{instruction} {Convert.ToHexString(bytes)}");
                checkedEncodings++;
            }
        }

        checkedEncodings.ShouldBeGreaterThan(1800);
    }
}
