using Ringfence.Guests.Kernel;
using Ringfence.Guests.UserMode;

namespace Ringfence.Guests;

/// <summary>
/// The built-in guest: a small 64-bit operating system with user mode, preemption and a shell on the first serial port.
/// Its source is this folder; it is assembled when asked for. See docs/guests.md.
/// </summary>
public static class BuiltInGuest
{
    /// <summary>What the shell prints when it waits for a command.</summary>
    public const string Prompt = "ringfence> ";

    /// <summary>The least memory the guest starts with, in bytes.</summary>
    public const long LeastMemory = MemoryMap.LeastMemoryMebibytes << 20;

    /// <summary>Assembles the guest.</summary>
    /// <returns>A Multiboot 1 ELF32 file; the same bytes each time.</returns>
    public static byte[] CreateImage() => Build().ToArray();

    /// <summary>The image, and the linear addresses of its routines by name: <c>kernel.*</c> and <c>user.*</c>.</summary>
    internal static byte[] CreateImage(out IReadOnlyDictionary<string, ulong> symbols)
    {
        Dictionary<string, ulong> all = [];
        byte[] image = Build(all).ToArray();
        symbols = all;
        return image;
    }

    private static GuestImage Build(Dictionary<string, ulong>? symbols = null)
    {
        UserCode user = new();
        byte[] userText = user.Assemble();
        KernelCode kernel = new(user.ShellAddress, userText.Length, user.Code.Constants.Length);
        byte[] boot = kernel.AssembleBoot();
        byte[] text = kernel.Assemble();
        if (boot.Length > MemoryMap.LongModeOffset) throw new InvalidOperationException("The 32-bit code outgrew its page.");
        byte[] allText = new byte[MemoryMap.LongModeOffset + text.Length];
        boot.CopyTo(allText, 0);
        text.CopyTo(allText, (int)MemoryMap.LongModeOffset);

        GuestImage image = new(kernel.BootEntry);
        image.Add(MemoryMap.TextPhysical, allText, allText.Length, GuestImage.Read | GuestImage.Execute);
        Add(image, MemoryMap.ReadOnlyPhysical, kernel.Code.Constants, GuestImage.Read);
        image.Add(MemoryMap.UserTextPhysical, userText, userText.Length, GuestImage.Read | GuestImage.Execute);
        Add(image, MemoryMap.UserReadOnlyPhysical, user.Code.Constants, GuestImage.Read);
        Add(image, MemoryMap.DataPhysical, kernel.Data, GuestImage.Read | GuestImage.Write);
        Add(image, MemoryMap.ZeroedPhysical, kernel.Zeroed, GuestImage.Read | GuestImage.Write);
        if (symbols is not null)
        {
            foreach ((string name, ulong address) in kernel.Code.Symbols) symbols.Add("kernel." + name, address);
            foreach ((string name, ulong address) in user.Code.Symbols) symbols.Add("user." + name, address);
        }

        return image;
    }

    private static void Add(GuestImage image, uint physical, DataSection section, uint rights) =>
        image.Add(physical, section.ToArray(), section.Length, rights);
}
