namespace Ringfence.Processors.Sensitive;

/// <summary>Raises faults as the last thing of a check: every method returns false.</summary>
internal static class Faults
{
    /// <summary>#GP.</summary>
    public static bool GeneralProtection(Processor processor, uint errorCode = 0) => Raise(processor, ExceptionVector.GeneralProtection, errorCode);

    /// <summary>#NP.</summary>
    public static bool NotPresent(Processor processor, uint errorCode) => Raise(processor, ExceptionVector.SegmentNotPresent, errorCode);

    /// <summary>#SS.</summary>
    public static bool Stack(Processor processor, uint errorCode) => Raise(processor, ExceptionVector.StackFault, errorCode);

    /// <summary>#TS.</summary>
    public static bool InvalidTss(Processor processor, uint errorCode) => Raise(processor, ExceptionVector.InvalidTss, errorCode);

    /// <summary>#UD.</summary>
    public static bool InvalidOpcode(Processor processor)
    {
        processor.RaiseFault(ExceptionVector.InvalidOpcode);
        return false;
    }

    /// <summary>Any fault with an error code.</summary>
    public static bool Raise(Processor processor, ExceptionVector vector, uint errorCode)
    {
        processor.RaiseFault(vector, errorCode);
        return false;
    }

    /// <summary>The error code that names a selector: RPL replaced by EXT and IDT (Intel SDM 3A 6.13).</summary>
    public static uint Selector(ushort selector, uint external) => (selector & 0xfffcU) | external;
}
