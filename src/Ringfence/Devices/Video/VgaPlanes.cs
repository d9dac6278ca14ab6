using System.Numerics;
using System.Runtime.InteropServices;

namespace Ringfence.Devices.Video;

/// <summary>
/// The VGA's memory as the processor sees it at A0000h to BFFFFh (IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, display memory and
/// graphics controller). Four planes of 64 KiB are written and read at once, an offset in each being four bytes of the frame memory. An address
/// becomes an offset in the planes like this:
/// planar, the address; odd/even, the address with bit 0 (which chooses the plane) zero, as in hardware; chain 4, the address / 4 (hardware leaves
/// three of four offsets unused instead), so that the bytes lie as they do in the linear frame buffer.
/// </summary>
/// <param name="memory">The frame memory.</param>
/// <param name="sequencer">Which planes are written.</param>
/// <param name="graphics">How they are written.</param>
/// <param name="display">The Bochs extensions: in their modes the window is 64 KiB of the frame buffer.</param>
internal sealed class VgaPlanes(IFrameMemory memory, VgaSequencer sequencer, VgaGraphicsController graphics, BochsDisplay display)
{
    private const int LowWindow = 0x1_0000;
    private const int HighWindow = 0x8000;
    private const uint EveryPlane = 0x0101_0101;

    private readonly ulong[] _dirty = new ulong[memory.Length / IFrameMemory.PageBytes / 64];
    private uint _latches;
    private int _anyDirty;

    /// <summary>Does the memory answer (miscellaneous output, bit 1)?</summary>
    public bool IsEnabled { get; set; }

    /// <summary>Accesses where no memory answers.</summary>
    public ulong MisuseCount { get; private set; }

    /// <summary>Has the processor written anything since <see cref="TakeDirty"/>? Any thread.</summary>
    public bool HasDirty => Volatile.Read(ref _anyDirty) != 0;

    /// <summary>Adds the pages of the frame memory written since the last call. Under the machine lock.</summary>
    public void TakeDirty(Span<ulong> pages)
    {
        Volatile.Write(ref _anyDirty, 0);
        for (int i = 0; i < _dirty.Length; i++) pages[i] |= _dirty[i];
        _dirty.AsSpan().Clear();
    }

    /// <summary>Reads the byte at an offset from A0000h.</summary>
    public byte Read(int offset)
    {
        if (!TryMap(ref offset)) return 0xff;
        if (display.IsPacked) return memory.Bytes[BankOffset(offset) & (memory.Length - 1)];
        int plane = graphics.ReadMapSelect;
        int at;
        if (sequencer.IsChain4)
        {
            plane = offset & 3;
            at = offset >> 2;
        }
        else if (graphics.ReadsOddEven)
        {
            plane = (plane & 2) | (offset & 1);
            at = OddEvenOffset(offset);
        }
        else
        {
            at = PlanarOffset(offset);
        }

        _latches = Planes[at];
        if (!graphics.ReadsCompare) return (byte)(_latches >> (8 * plane));
        uint different = (_latches ^ Spread(graphics.ColorCompare)) & Spread(graphics.ColorDontCare);
        different |= different >> 16;
        return (byte)~(different | (different >> 8));
    }

    /// <summary>Writes the byte at an offset from A0000h.</summary>
    public void Write(int offset, byte value)
    {
        if (!TryMap(ref offset)) return;
        if (display.IsPacked)
        {
            int linear = BankOffset(offset) & (memory.Length - 1);
            memory.Bytes[linear] = value;
            MarkDirty(linear);
            return;
        }

        int planes = sequencer.MapMask;
        int at;
        if (sequencer.IsChain4)
        {
            planes &= 1 << (offset & 3);
            at = offset >> 2;
        }
        else if (sequencer.WritesOddEven)
        {
            planes &= 5 << (offset & 1);
            at = OddEvenOffset(offset);
        }
        else
        {
            at = PlanarOffset(offset);
        }

        ref uint cell = ref Planes[at];
        uint mask = Spread(planes);
        uint written = (cell & ~mask) | (Combine(value) & mask);
        if (written == cell) return;
        cell = written;
        MarkDirty(at * 4);
    }

    /// <summary>The state after power-on; memory keeps what it holds.</summary>
    public void Reset()
    {
        _latches = 0;
        IsEnabled = false;
    }

    /// <summary>Visits the fields.</summary>
    public void DescribeState(IStateVisitor visitor)
    {
        visitor.Field("latches", ref _latches);
        _dirty.AsSpan().Fill(ulong.MaxValue);
        Volatile.Write(ref _anyDirty, 1);
    }

    private Span<uint> Planes => MemoryMarshal.Cast<byte, uint>(memory.Bytes);

    /// <summary>Four bytes, all ones where <paramref name="planes"/> has a one.</summary>
    private static uint Spread(int planes) => (((uint)planes * 0x0020_4081) & EveryPlane) * 0xff;

    /// <summary>Data path of a write: rotation, set/reset, function with the latches, bit mask.</summary>
    private uint Combine(byte value)
    {
        byte bits = graphics.BitMask;
        uint data;
        switch (graphics.WriteMode)
        {
            case 0:
                uint set = Spread(graphics.EnableSetReset);
                data = (Rotate(value) * EveryPlane & ~set) | (Spread(graphics.SetReset) & set);
                break;
            case 1:
                return _latches;
            case 2:
                data = Spread(value & 15);
                break;
            default:
                bits &= Rotate(value);
                data = Spread(graphics.SetReset);
                break;
        }

        data = graphics.Function switch
        {
            0 => data,
            1 => data & _latches,
            2 => data | _latches,
            _ => data ^ _latches,
        };
        uint mask = bits * EveryPlane;
        return (data & mask) | (_latches & ~mask);
    }

    private byte Rotate(byte value) => (byte)(BitOperations.RotateRight(value * EveryPlane, graphics.RotateCount) & 0xff);

    private bool TryMap(ref int offset)
    {
        if (IsEnabled)
        {
            switch (display.IsPacked ? 1 : graphics.MemoryMapSelect)
            {
                case 0:
                case 1 when offset < LowWindow:
                    return true;
                case 2 when offset is >= LowWindow and < LowWindow + HighWindow:
                    offset -= LowWindow;
                    return true;
                case 3 when offset >= LowWindow + HighWindow:
                    offset -= LowWindow + HighWindow;
                    return true;
            }
        }

        MisuseCount++;
        return false;
    }

    private int BankOffset(int offset) => (display.Bank << 16) + offset;

    // In the window of 128 KiB its highest bit takes the place of the lowest (miscellaneous register, chain odd/even).
    private int OddEvenOffset(int offset) => (offset & 0xfffe) | (offset >> 16);

    private int PlanarOffset(int offset) =>
        display.IsPlanar ? BankOffset(offset & 0xffff) & ((memory.Length / 4) - 1) : offset & 0xffff;

    private void MarkDirty(int offset)
    {
        int page = offset / IFrameMemory.PageBytes;
        _dirty[page >> 6] |= 1UL << page;
        Volatile.Write(ref _anyDirty, 1);
    }
}
