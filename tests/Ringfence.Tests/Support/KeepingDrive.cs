using Ringfence.Devices.Storage;
using Ringfence.Storage;

namespace Ringfence.Tests.Support;

/// <summary>A drive whose requests cannot be cancelled any more.</summary>
internal sealed class KeepingDrive(FakeDrive drive, Action<BlockRequest> submitted) : BlockDrive
{
    public override string Name => drive.Name;

    public override BlockStore? Medium => drive.Medium;

    public override int MediumChanges => drive.MediumChanges;

    public override BlockStatus Read(long offset, Span<byte> data) => drive.Read(offset, data);

    public override void Submit(BlockRequest request) => submitted(request);

    public override void Cancel()
    {
    }

    protected override void Dispose(bool disposing)
    {
    }
}
