namespace Ringfence.Storage;

/// <summary>Sees what is done to an <see cref="ImageFile"/>, in its order.</summary>
internal interface IImageFileObserver
{
    /// <summary>Bytes were written.</summary>
    void Written(long offset, ReadOnlySpan<byte> data);

    /// <summary>A range became a hole.</summary>
    void Punched(long offset, long length);

    /// <summary>The file became longer or shorter.</summary>
    void LengthChanged(long length);

    /// <summary>Everything before is on the disk.</summary>
    void Synchronized();
}
