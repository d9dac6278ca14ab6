namespace Ringfence.Devices.Video;

/// <summary>A mode of the Bochs extensions.</summary>
/// <param name="Width">Pixels in a row.</param>
/// <param name="Height">Rows.</param>
/// <param name="BitsPerPixel">4 (planar), 8, 15, 16, 24 or 32.</param>
/// <param name="Stride">Bytes from row to row; of a plane, if planar.</param>
/// <param name="Start">Offset of the first pixel.</param>
/// <param name="IsBigEndian">Has the high byte of a pixel the lowest address?</param>
internal readonly record struct PackedMode(int Width, int Height, int BitsPerPixel, int Stride, long Start, bool IsBigEndian);
