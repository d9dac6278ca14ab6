namespace Ringfence.Memory;

/// <summary>Told when a page with decoded code is written.</summary>
internal interface ICodeWatcher
{
    /// <summary>Bytes at a physical address (inside one page) have been written by this processor.</summary>
    void Written(ulong physical, int length);
}
