namespace Ringfence.Memory;

/// <summary>Told when the guest has made the processor forget translations.</summary>
internal interface IMappingObserver
{
    /// <summary>Every linear address may lead elsewhere.</summary>
    void AllChanged();

    /// <summary>Every linear address may lead elsewhere, except those of global pages.</summary>
    void NonGlobalChanged();

    /// <summary>One linear page may lead elsewhere.</summary>
    void PageChanged(ulong linear);

    /// <summary>A frame must not be written unseen any more.</summary>
    void WriterDropped(ulong frame);
}
