namespace Ringfence.Devices;

/// <summary>What connects the machine's local and I/O APICs: finds the destinations of messages. Used under the machine lock.</summary>
internal sealed class ApicBus
{
    private readonly List<LocalApic> _locals = [];
    private readonly List<IoApic> _ios = [];

    /// <summary>The local APICs in the order of their processors.</summary>
    public IReadOnlyList<LocalApic> LocalApics => _locals;

    /// <summary>Messages that nobody accepted.</summary>
    public ulong UndeliveredCount { get; private set; }

    /// <summary>Delivers a message to all its destinations; lowest priority picks the first of those with the lowest priority.</summary>
    /// <returns>Did anybody accept it?</returns>
    public bool Deliver(in ApicMessage message)
    {
        bool accepted = false;
        if (message.Mode == ApicDeliveryMode.LowestPriority)
        {
            LocalApic? chosen = null;
            foreach (LocalApic local in _locals)
            {
                if (!local.IsSoftwareEnabled || !local.Matches(message.Destination, message.Logical)) continue;
                if (chosen is null || local.ProcessorPriority < chosen.ProcessorPriority) chosen = local;
            }

            accepted = chosen is not null && chosen.Accept(message);
        }
        else
        {
            foreach (LocalApic local in _locals)
                if (local.Matches(message.Destination, message.Logical)) accepted |= local.Accept(message);
        }

        if (!accepted) UndeliveredCount++;
        return accepted;
    }

    /// <summary>Delivers a message to all local APICs but the sender.</summary>
    public void DeliverToOthers(LocalApic sender, in ApicMessage message)
    {
        if (message.Mode == ApicDeliveryMode.LowestPriority)
        {
            LocalApic? chosen = null;
            foreach (LocalApic local in _locals)
            {
                if (local == sender || !local.IsSoftwareEnabled) continue;
                if (chosen is null || local.ProcessorPriority < chosen.ProcessorPriority) chosen = local;
            }

            chosen?.Accept(message);
            return;
        }

        foreach (LocalApic local in _locals)
            if (local != sender && local.IsEnabled) local.Accept(message);
    }

    /// <summary>Delivers a message-signaled interrupt (Intel SDM 3A 10.11): a write of <paramref name="data"/> to FEExxxxxh.</summary>
    public bool DeliverMessageSignaled(ulong address, uint data)
    {
        bool logical = (address & 4) != 0;
        byte destination = (byte)(address >> 12);
        return Deliver(new ApicMessage(
            ApicMessage.Widen(destination), logical, (ApicDeliveryMode)((data >> 8) & 7), (byte)data, (data & 0x8000) != 0));
    }

    /// <summary>Tells the I/O APICs that a level-triggered interrupt is done.</summary>
    public void BroadcastEndOfInterrupt(byte vector)
    {
        foreach (IoApic io in _ios) io.EndOfInterrupt(vector);
    }

    internal void Add(LocalApic local) => _locals.Add(local);

    internal void Add(IoApic io) => _ios.Add(io);
}
