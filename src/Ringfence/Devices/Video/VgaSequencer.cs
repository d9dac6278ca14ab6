namespace Ringfence.Devices.Video;

/// <summary>
/// The sequencer (IBM PS/2 Hardware Interface Technical Reference, Video Subsystem, sequencer registers; ports 3C4h and 3C5h): dot clock, which
/// planes are written, and how addresses choose planes.
/// </summary>
/// <param name="changes">Told of every change.</param>
internal sealed class VgaSequencer(VideoChanges changes)
    : VgaRegisterFile("sequencer", 0x07, [0x03, 0x3d, 0x0f, 0x3f, 0x0e], changes)
{
    /// <summary>Number of the clocking mode register.</summary>
    public const int ClockingMode = 1;

    /// <summary>Number of the character map select register.</summary>
    public const int CharacterMapSelect = 3;

    /// <summary>Planes that are written, a bit each.</summary>
    public int MapMask => this[2];

    /// <summary>Do the two low bits of an address choose the plane?</summary>
    public bool IsChain4 => (this[4] & 8) != 0;

    /// <summary>Do even addresses write planes 0 and 2, odd ones planes 1 and 3?</summary>
    public bool WritesOddEven => (this[4] & 4) == 0;

    /// <summary>Is the screen turned off (for the processor to have all of the memory's time)?</summary>
    public bool IsScreenOff => (this[ClockingMode] & 0x20) != 0;
}
