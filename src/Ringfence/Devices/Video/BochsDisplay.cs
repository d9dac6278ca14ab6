using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Ringfence.Devices.Video;

/// <summary>
/// The display interface of the Bochs VBE extensions (as QEMU's docs/specs/standard-vga describes it: index at port 1CEh, data at 1CFh): modes of any size
/// up to 2560x1600 with 4 to 32 bits a pixel, a virtual screen larger than what is shown, and a window of 64 KiB into the frame buffer.
/// </summary>
internal sealed class BochsDisplay : IBusDevice
{
    /// <summary>First port.</summary>
    public const ushort Port = 0x1ce;

    /// <summary>Ports: the index, the data, and the data again where word ports must be even.</summary>
    public const int PortLength = 3;

    /// <summary>Number of registers.</summary>
    public const int RegisterCount = 11;

    /// <summary>Most pixels in a row.</summary>
    public const int MaximumWidth = 2560;

    /// <summary>Most rows.</summary>
    public const int MaximumHeight = 1600;

    private const ushort LatestId = 0xb0c5;
    private const ushort OldestId = 0xb0c0;

    private const ushort Enabled = 0x01;
    private const ushort GetCapabilities = 0x02;
    private const ushort WideDac = 0x20;
    private const ushort NoClear = 0x80;
    private const ushort EnableBits = 0xe3;

    private readonly IFrameMemory _memory;
    private readonly VgaDac _dac;
    private readonly VideoChanges _changes;
    private readonly ushort[] _registers = new ushort[RegisterCount];
    private ushort _index;
    private bool _isBigEndian;

    /// <summary>Makes the interface, off.</summary>
    public BochsDisplay(IFrameMemory memory, VgaDac dac, VideoChanges changes)
    {
        _memory = memory;
        _dac = dac;
        _changes = changes;
        Reset();
    }

    private enum Register
    {
        Id,
        Width,
        Height,
        BitsPerPixel,
        Enable,
        Bank,
        VirtualWidth,
        VirtualHeight,
        XOffset,
        YOffset,
        Memory64K,
    }

    /// <summary>Accesses of registers that do not exist, and values no mode has.</summary>
    public ulong MisuseCount { get; private set; }

    /// <summary>Is one of the modes on?</summary>
    public bool IsOn => (this[Register.Enable] & Enabled) != 0;

    /// <summary>Is a mode on whose pixels stand one behind the other?</summary>
    public bool IsPacked => IsOn && BitsPerPixel > 4;

    /// <summary>Is a mode on whose pixels are spread over the planes?</summary>
    public bool IsPlanar => IsOn && BitsPerPixel == 4;

    /// <summary>Pixels in a row.</summary>
    public int Width => Math.Clamp((int)this[Register.Width], 1, MaximumWidth);

    /// <summary>Rows.</summary>
    public int Height => Math.Clamp((int)this[Register.Height], 1, MaximumHeight);

    /// <summary>4, 8, 15, 16, 24 or 32.</summary>
    public int BitsPerPixel => this[Register.BitsPerPixel] is 4 or 15 or 16 or 24 or 32 ? this[Register.BitsPerPixel] : 8;

    /// <summary>Which 64 KiB the window shows.</summary>
    public int Bank => this[Register.Bank];

    /// <summary>Bytes from one row to the next; of a plane, if the mode is planar.</summary>
    public int Stride => BitsPerPixel == 4 ? VirtualWidth / 8 : VirtualWidth * ((BitsPerPixel + 7) / 8);

    /// <summary>Offset of the first pixel shown, in bytes of the frame buffer or of a plane.</summary>
    public long Start =>
        ((long)Stride * this[Register.YOffset]) + (BitsPerPixel == 4 ? this[Register.XOffset] / 8 : (long)this[Register.XOffset] * ((BitsPerPixel + 7) / 8));

    /// <summary>Has the high byte of a pixel the lowest address?</summary>
    public bool IsBigEndian
    {
        get => _isBigEndian;
        set => _changes.Set(ref _isBigEndian, value);
    }

    private int VirtualWidth => Math.Max(this[Register.VirtualWidth], Width);

    private ref ushort this[Register register] => ref _registers[(int)register];

    /// <inheritdoc/>
    public void Read(ulong offset, Span<byte> data)
    {
        ushort value = offset == 0 ? _index : Read(_index);
        if (data.Length == 1)
        {
            data[0] = (byte)value;
            return;
        }

        data.Fill(0xff);
        BinaryPrimitives.WriteUInt16LittleEndian(data, value);
    }

    /// <inheritdoc/>
    public void Write(ulong offset, ReadOnlySpan<byte> data)
    {
        ushort value = data.Length == 1 ? data[0] : BinaryPrimitives.ReadUInt16LittleEndian(data);
        if (offset == 0) _index = value;
        else if (data.Length == 1) MisuseCount++;
        else Write(_index, value);
    }

    /// <summary>Reads a register.</summary>
    public ushort Read(int index)
    {
        if (index >= RegisterCount)
        {
            MisuseCount++;
            return 0;
        }

        bool asksCapabilities = (this[Register.Enable] & GetCapabilities) != 0;
        return (Register)index switch
        {
            Register.Width when asksCapabilities => MaximumWidth,
            Register.Height when asksCapabilities => MaximumHeight,
            Register.BitsPerPixel when asksCapabilities => 32,
            Register.VirtualWidth when IsOn => (ushort)VirtualWidth,
            Register.VirtualHeight when IsOn => (ushort)Math.Min(ushort.MaxValue, _memory.Length / (BitsPerPixel == 4 ? 4 : 1) / Stride),
            Register.Memory64K => (ushort)Math.Min(ushort.MaxValue, _memory.Length >> 16),
            _ => _registers[index],
        };
    }

    /// <summary>Writes a register.</summary>
    public void Write(int index, ushort value)
    {
        switch ((Register)index)
        {
            case Register.Id when value is >= OldestId and <= LatestId:
                this[Register.Id] = value;
                break;
            case Register.BitsPerPixel:
                if (value is not (0 or 4 or 8 or 15 or 16 or 24 or 32)) MisuseCount++;
                _changes.Set(ref this[Register.BitsPerPixel], value);
                break;
            case Register.Width or Register.Height or Register.Bank or Register.VirtualWidth or Register.XOffset or Register.YOffset:
                _changes.Set(ref _registers[index], value);
                break;
            case Register.VirtualHeight:
                // What the memory leaves room for; drivers may write what they have computed.
                break;
            case Register.Enable:
                WriteEnable((ushort)(value & EnableBits));
                break;
            default:
                MisuseCount++;
                break;
        }
    }

    /// <summary>Off.</summary>
    public void Reset()
    {
        _registers.AsSpan().Clear();
        this[Register.Id] = LatestId;
        _index = 0;
        _isBigEndian = false;
        _changes.Raise();
    }

    /// <summary>Visits the fields.</summary>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Bytes("bochs_registers", MemoryMarshal.AsBytes(_registers.AsSpan()));
        visitor.Field("bochs_index", ref _index);
        visitor.Field("bochs_big_endian", ref _isBigEndian);
        _changes.Raise();
    }

    private void WriteEnable(ushort value)
    {
        bool wasOn = IsOn;
        _changes.Set(ref this[Register.Enable], value);
        _dac.IsWide = (value & WideDac) != 0;
        if (!IsOn)
        {
            this[Register.Bank] = 0;
            return;
        }

        if (wasOn) return;
        this[Register.VirtualWidth] = (ushort)Width;
        this[Register.XOffset] = this[Register.YOffset] = 0;
        if ((value & NoClear) == 0) _memory.Bytes[..(int)Math.Min(_memory.Length, (long)Stride * Height * (BitsPerPixel == 4 ? 4 : 1))].Clear();
    }
}
