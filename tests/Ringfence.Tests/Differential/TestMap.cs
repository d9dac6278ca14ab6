namespace Ringfence.Tests.Differential;

/// <summary>
/// Where a case's memory lies: the same linear addresses on the host and in the guest, below 2 GiB so that 32-bit
/// addressing reaches them. Everything between the pages faults.
/// </summary>
internal static class TestMap
{
    /// <summary>Bytes of address space, from the base.</summary>
    public const uint Length = 0x10_0000;

    /// <summary>Two pages of code; the instruction under test begins somewhere in the first.</summary>
    public const uint Code = 0;

    /// <summary>Bytes of code.</summary>
    public const uint CodeBytes = 0x2000;

    /// <summary>Host only: the stub that enters and leaves.</summary>
    public const uint Stub = 0x4000;

    /// <summary>Host only: the images and what the stub saves.</summary>
    public const uint Control = 0x8000;

    /// <summary>Bytes of <see cref="Control"/>.</summary>
    public const uint ControlBytes = 0x4000;

    /// <summary>Two pages of data; the window surrounds the boundary between them.</summary>
    public const uint Data = 0x1_0000;

    /// <summary>Two pages of data before a page that is not there.</summary>
    public const uint Edge = 0x2_0000;

    /// <summary>A page that may only be read.</summary>
    public const uint ReadOnly = 0x3_0000;

    /// <summary>Two pages of stack.</summary>
    public const uint Stack = 0x4_0000;

    /// <summary>Bytes of the data window, at <see cref="DataWindow"/>.</summary>
    public const int DataWindowBytes = 2048;

    /// <summary>First byte of the data window.</summary>
    public const uint DataWindow = Data + 0x1000 - (DataWindowBytes / 2);

    /// <summary>Bytes of the edge window, which ends where the page does.</summary>
    public const int EdgeWindowBytes = 128;

    /// <summary>First byte of the edge window.</summary>
    public const uint EdgeWindow = Edge + 0x2000 - EdgeWindowBytes;

    /// <summary>Bytes of the stack window.</summary>
    public const int StackWindowBytes = 768;

    /// <summary>First byte of the stack window.</summary>
    public const uint StackWindow = Stack + 0x1000 - (StackWindowBytes / 2);

    /// <summary>All windows together.</summary>
    public const int WindowBytes = DataWindowBytes + EdgeWindowBytes + StackWindowBytes;

    /// <summary>The windows: place from the base, length, place in <see cref="CpuImage.Memory"/>.</summary>
    public static readonly (uint Start, int Length, int ImageOffset)[] Windows =
    [
        (DataWindow, DataWindowBytes, 0),
        (EdgeWindow, EdgeWindowBytes, DataWindowBytes),
        (StackWindow, StackWindowBytes, DataWindowBytes + EdgeWindowBytes),
    ];

    /// <summary>Place in <see cref="CpuImage.Memory"/> of an offset from the base, or -1 if it is in no window.</summary>
    public static int ImageOffset(long offset)
    {
        foreach ((uint start, int length, int imageOffset) in Windows)
            if (offset >= start && offset < start + length) return (int)(offset - start) + imageOffset;
        return -1;
    }

    /// <summary>Offset from the base of a place in <see cref="CpuImage.Memory"/>.</summary>
    public static uint Offset(int imageOffset)
    {
        foreach ((uint start, int length, int first) in Windows)
            if (imageOffset >= first && imageOffset < first + length) return start + (uint)(imageOffset - first);
        throw new ArgumentOutOfRangeException(nameof(imageOffset));
    }
}
