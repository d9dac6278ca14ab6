namespace Ringfence.Devices.Video;

/// <summary>How pictures come about.</summary>
internal enum VideoKind
{
    /// <summary>There is no signal.</summary>
    Off,

    /// <summary>There is a signal of black.</summary>
    Dark,

    /// <summary>Characters.</summary>
    Text,

    /// <summary>A bit of each plane is a pixel.</summary>
    Planar,

    /// <summary>Two neighbouring bits are a pixel, as on the CGA.</summary>
    PixelPairs,

    /// <summary>Bytes of the planes in turns are pixels.</summary>
    PlaneBytes,

    /// <summary>Pixels stand one behind the other in the frame buffer.</summary>
    Packed,
}
