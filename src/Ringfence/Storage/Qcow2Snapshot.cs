namespace Ringfence.Storage;

/// <summary>An internal snapshot of a qcow2 image.</summary>
/// <param name="Id">Its identifier.</param>
/// <param name="Name">Its name.</param>
/// <param name="Taken">When it was taken.</param>
/// <param name="VirtualBytes">Bytes of the disk then.</param>
/// <param name="StateBytes">Bytes of a machine's state saved with it.</param>
public sealed record Qcow2Snapshot(string Id, string Name, DateTimeOffset Taken, long VirtualBytes, long StateBytes);
