namespace Ringfence.Firmware.Bios;

/// <summary>Addresses in the BIOS data area and in its extension (IBM PS/2 and PC BIOS Interface Technical Reference, "BIOS data area").</summary>
internal static class BiosData
{
    public const ulong SerialPorts = 0x400;
    public const ulong ParallelPorts = 0x408;
    public const ulong ExtensionSegment = 0x40e;
    public const ulong Equipment = 0x410;
    public const ulong MemoryKib = 0x413;
    public const ulong ShiftState = 0x417;
    public const ulong ShiftKeys = 0x418;
    public const ulong KeypadNumber = 0x419;
    public const ulong KeyHead = 0x41a;
    public const ulong KeyTail = 0x41c;
    public const ulong KeyBuffer = 0x41e;
    public const ulong FloppyCalibration = 0x43e;
    public const ulong FloppyStatus = 0x441;
    public const ulong VideoMode = 0x449;
    public const ulong Columns = 0x44a;
    public const ulong PageBytes = 0x44c;
    public const ulong PageStart = 0x44e;
    public const ulong CursorPositions = 0x450;
    public const ulong CursorShape = 0x460;
    public const ulong ActivePage = 0x462;
    public const ulong CrtcPort = 0x463;
    public const ulong CgaMode = 0x465;
    public const ulong CgaPalette = 0x466;
    public const ulong Ticks = 0x46c;
    public const ulong MidnightPassed = 0x470;
    public const ulong Break = 0x471;
    public const ulong ResetFlag = 0x472;
    public const ulong DiskStatus = 0x474;
    public const ulong DiskCount = 0x475;
    public const ulong ParallelTimeouts = 0x478;
    public const ulong SerialTimeouts = 0x47c;
    public const ulong KeyBufferStart = 0x480;
    public const ulong KeyBufferEnd = 0x482;
    public const ulong LastRow = 0x484;
    public const ulong CharacterHeight = 0x485;
    public const ulong VideoControl = 0x487;
    public const ulong VideoSwitches = 0x488;
    public const ulong VideoFlags = 0x489;
    public const ulong DisplayCombination = 0x48a;
    public const ulong KeyboardMode = 0x496;
    public const ulong KeyboardLeds = 0x497;

    /// <summary>The ring buffer of keys, as offsets in segment 40h.</summary>
    public const ushort FirstKey = 0x1e;

    /// <summary>End of <see cref="FirstKey"/>.</summary>
    public const ushort EndOfKeys = 0x3e;

    /// <summary>In the extension: the mouse handler's far address.</summary>
    public const int MouseHandler = 0x22;

    /// <summary>In the extension: the words the mouse's handler is called with: status, X, Y.</summary>
    public const int MouseArguments = 0x30;

    /// <summary>What a warm start finds in <see cref="ResetFlag"/>.</summary>
    public const ushort WarmStart = 0x1234;

    /// <summary>Ticks in a day.</summary>
    public const uint TicksOfADay = 0x1800b0;
}
