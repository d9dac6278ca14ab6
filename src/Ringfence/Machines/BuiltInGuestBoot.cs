using Ringfence.Firmware;
using Ringfence.Guests;

namespace Ringfence.Machines;

/// <summary>The built-in guest, assembled when the machine is built (see <see cref="BuiltInGuest"/>).</summary>
public sealed record BuiltInGuestBoot : BootSource
{
    /// <inheritdoc/>
    internal override void Load(Pc pc, bool isReset)
    {
        if (pc.Memory.RamBytes < BuiltInGuest.LeastMemory)
            throw new BootImageException($"the built-in guest needs at least {ByteSize.Format(BuiltInGuest.LeastMemory)} of memory, the machine has {ByteSize.Format(pc.Memory.RamBytes)}");
        new KernelBoot { Kernel = BootFile.FromBytes("built-in guest", BuiltInGuest.CreateImage()) }.Load(pc, isReset);
    }
}
