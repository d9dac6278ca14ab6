namespace Ringfence.Devices.Virtio;

/// <summary>What a virtio device does, without how it is reached (Virtual I/O Device 1.2, chapter 5). Used under the machine lock.</summary>
internal abstract class VirtioDevice
{
    /// <summary>Name in the machine's state.</summary>
    public abstract string Name { get; }

    /// <summary>Device ID (chapter 5).</summary>
    public abstract ushort DeviceId { get; }

    /// <summary>Base class, subclass and programming interface of its PCI function.</summary>
    public abstract uint ClassCode { get; }

    /// <summary>Feature bits 0 to 23 that it offers.</summary>
    public abstract ulong Features { get; }

    /// <summary>Entries of each of its queues.</summary>
    public abstract IReadOnlyList<int> QueueSizes { get; }

    /// <summary>The transport it is connected to.</summary>
    protected IVirtioTransport Transport { get; private set; } = null!;

    /// <summary>Connects the transport.</summary>
    public void Connect(IVirtioTransport transport) => Transport = transport;

    /// <summary>Reads its configuration space; what is behind its end reads as zero.</summary>
    public abstract void ReadConfiguration(int offset, Span<byte> data);

    /// <summary>The driver has put something into a queue.</summary>
    public abstract void Notify(int queue);

    /// <summary>The driver has reset it, or the machine.</summary>
    public virtual void Reset()
    {
    }

    /// <summary>Describes what the transport does not know of it.</summary>
    public virtual void DescribeState(IStateVisitor visitor)
    {
    }
}

/// <summary>What a <see cref="VirtioDevice"/> asks of its transport.</summary>
internal interface IVirtioTransport
{
    /// <summary>The driver is up.</summary>
    bool IsDriverReady { get; }

    /// <summary>Counts resets: what was taken from a queue before one must not be given back after it.</summary>
    int Generation { get; }

    /// <summary>A queue.</summary>
    VirtQueue Queue(int index);

    /// <summary>Gives a chain back, and interrupts if the driver wants it.</summary>
    void Return(int queue, VirtChain chain, uint written)
    {
        Queue(queue).Return(chain, written);
        Announce(queue);
    }

    /// <summary>Interrupts if the driver wants it for what was given back since the last time.</summary>
    void Announce(int queue);

    /// <summary>Tells the driver that the configuration space has changed.</summary>
    void ConfigurationChanged();
}
