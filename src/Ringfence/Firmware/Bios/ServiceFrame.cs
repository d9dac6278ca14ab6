using System.Buffers.Binary;

namespace Ringfence.Firmware.Bios;

/// <summary>
/// What an interrupt's stub has saved on its caller's stack before it asks for the service: the general registers as PUSHAD stores them, GS, FS, ES, DS,
/// the service's number, the answer's word, and IP, CS and FLAGS as the interrupt stored them.
/// </summary>
internal sealed class ServiceFrame
{
    /// <summary>Bytes of a frame.</summary>
    public const int Length = 50;

    /// <summary>Where the answer's word stands.</summary>
    public const int AnswerOffset = 42;

    private const int CarryFlag = 1;
    private const int ZeroFlag = 0x40;

    private readonly byte[] _bytes = new byte[Length];

    /// <summary>The frame's bytes.</summary>
    public Span<byte> Bytes => _bytes;

    public uint Edi { get => Get32(0); set => Set32(0, value); }

    public uint Esi { get => Get32(4); set => Set32(4, value); }

    public uint Ebp { get => Get32(8); set => Set32(8, value); }

    public uint Ebx { get => Get32(16); set => Set32(16, value); }

    public uint Edx { get => Get32(20); set => Set32(20, value); }

    public uint Ecx { get => Get32(24); set => Set32(24, value); }

    public uint Eax { get => Get32(28); set => Set32(28, value); }

    public ushort Di { get => Get16(0); set => Set16(0, value); }

    public ushort Si { get => Get16(4); set => Set16(4, value); }

    public ushort Bp { get => Get16(8); set => Set16(8, value); }

    public ushort Bx { get => Get16(16); set => Set16(16, value); }

    public ushort Dx { get => Get16(20); set => Set16(20, value); }

    public ushort Cx { get => Get16(24); set => Set16(24, value); }

    public ushort Ax { get => Get16(28); set => Set16(28, value); }

    public byte Bl { get => _bytes[16]; set => _bytes[16] = value; }

    public byte Bh { get => _bytes[17]; set => _bytes[17] = value; }

    public byte Dl { get => _bytes[20]; set => _bytes[20] = value; }

    public byte Dh { get => _bytes[21]; set => _bytes[21] = value; }

    public byte Cl { get => _bytes[24]; set => _bytes[24] = value; }

    public byte Ch { get => _bytes[25]; set => _bytes[25] = value; }

    public byte Al { get => _bytes[28]; set => _bytes[28] = value; }

    public byte Ah { get => _bytes[29]; set => _bytes[29] = value; }

    public ushort Es { get => Get16(36); set => Set16(36, value); }

    public ushort Ds { get => Get16(38); set => Set16(38, value); }

    /// <summary>The service's number: that of the interrupt, or one of <see cref="FirmwareService"/>.</summary>
    public ushort Service => Get16(40);

    /// <summary>What the stub does next.</summary>
    public ServiceAnswer Answer { get => (ServiceAnswer)_bytes[AnswerOffset]; set => _bytes[AnswerOffset] = (byte)value; }

    /// <summary>Kept between two times the same call asks; 0 the first time.</summary>
    public byte Step { get => _bytes[AnswerOffset + 1]; set => _bytes[AnswerOffset + 1] = value; }

    public ushort Ip { get => Get16(44); set => Set16(44, value); }

    public ushort Cs { get => Get16(46); set => Set16(46, value); }

    public ushort Flags { get => Get16(48); set => Set16(48, value); }

    public bool Carry
    {
        get => (Flags & CarryFlag) != 0;
        set => Flags = (ushort)(value ? Flags | CarryFlag : Flags & ~CarryFlag);
    }

    public bool Zero
    {
        get => (Flags & ZeroFlag) != 0;
        set => Flags = (ushort)(value ? Flags | ZeroFlag : Flags & ~ZeroFlag);
    }

    /// <summary>The physical address of a real-mode pointer.</summary>
    public static ulong Address(ushort segment, ushort offset) => ((ulong)segment << 4) + offset;

    private uint Get32(int at) => BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(at));

    private void Set32(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(at), value);

    private ushort Get16(int at) => BinaryPrimitives.ReadUInt16LittleEndian(_bytes.AsSpan(at));

    private void Set16(int at, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(at), value);
}
