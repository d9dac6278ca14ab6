using System.Text;
using Iced.Intel;

namespace Ringfence.Tests.Differential;

/// <summary>A case's state as text, and the ways to make it simpler.</summary>
internal readonly unsafe struct StateView(CpuImage* image)
{
    private const uint DefaultMxcsr = 0x1f80;
    private const ushort DefaultControl = 0x37f;
    private const int MemoryBlock = 16;

    private readonly CpuImage* _image = image;

    /// <summary>Each takes one part of the state away.</summary>
    public static IReadOnlyList<Action<StateView>> Simplifications { get; } = MakeSimplifications();

    /// <inheritdoc/>
    public override string ToString()
    {
        StringBuilder text = new();
        text.Append($"flags 0x{_image->Rflags:x}");
        for (int i = 0; i < 16; i++)
            if (_image->Gpr[i] != 0) text.Append($", {Register.RAX + i}=0x{_image->Gpr[i]:x}");
        byte* fx = _image->Fx;
        if (*(ushort*)fx != DefaultControl) text.Append($", FCW=0x{*(ushort*)fx:x}");
        if (*(ushort*)(fx + 2) != 0) text.Append($", FSW=0x{*(ushort*)(fx + 2):x}");
        if (fx[4] != 0) text.Append($", FTW=0x{fx[4]:x}");
        if (*(uint*)(fx + 24) != DefaultMxcsr) text.Append($", MXCSR=0x{*(uint*)(fx + 24):x}");
        for (int i = 0; i < 8; i++)
        {
            ulong* x = (ulong*)(fx + 32 + (i * 16));
            if ((x[0] | (ushort)x[1]) != 0) text.Append($", ST({i})={(ushort)x[1]:x4}_{x[0]:x16}");
        }

        for (int i = 0; i < 16; i++)
        {
            ulong* x = (ulong*)(fx + 160 + (i * 16));
            if ((x[0] | x[1]) != 0) text.Append($", XMM{i}={x[1]:x16}_{x[0]:x16}");
        }

        for (int i = 0; i + 8 <= TestMap.WindowBytes; i += 8)
        {
            ulong value = *(ulong*)(_image->Memory + i);
            if (value != 0) text.Append($", [map + 0x{TestMap.Offset(i):x}]=0x{value:x16}");
        }

        return text.ToString();
    }

    private static List<Action<StateView>> MakeSimplifications()
    {
        List<Action<StateView>> all = [];
        const int Half = TestMap.WindowBytes / 8;
        for (int i = 0; i < 8; i++)
        {
            int at = i * Half;
            all.Add(view => new Span<byte>(view._image->Memory + at, Half).Clear());
        }

        for (int i = 0; i < TestMap.WindowBytes; i += MemoryBlock)
        {
            int at = i;
            all.Add(view => new Span<byte>(view._image->Memory + at, MemoryBlock).Clear());
        }

        for (int i = 0; i < 16; i++)
        {
            int register = i;
            all.Add(view => view._image->Gpr[register] = 1);
            all.Add(view => view._image->Gpr[register] = 0);
            all.Add(view => new Span<byte>(view._image->Fx + 160 + (register * 16), 16).Clear());
            if (i < 8) all.Add(view => new Span<byte>(view._image->Fx + 32 + (register * 16), 16).Clear());
        }

        all.Add(view => *(ushort*)view._image->Fx = DefaultControl);
        all.Add(view => *(ushort*)(view._image->Fx + 2) = 0);
        all.Add(view => *(ushort*)(view._image->Fx + 2) &= 0x3800);
        all.Add(view => view._image->Fx[4] = 0xff);
        all.Add(view => view._image->Fx[4] = 0);
        all.Add(view => *(uint*)(view._image->Fx + 24) = DefaultMxcsr);
        all.Add(view => *(uint*)(view._image->Fx + 24) &= ~0x3fu);
        all.Add(view => view._image->Rflags = 0x202);
        foreach (int bit in (int[])[0, 2, 4, 6, 7, 10, 11, 18, 21])
        {
            ulong mask = ~(1UL << bit);
            all.Add(view => view._image->Rflags &= mask);
        }

        return all;
    }
}
