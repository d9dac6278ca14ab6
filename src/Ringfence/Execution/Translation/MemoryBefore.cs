using System.Globalization;
using System.Text;

namespace Ringfence.Execution.Translation;

/// <summary>Bytes of guest memory that were about to be written, as they were, and later what was written.</summary>
internal sealed unsafe class MemoryBefore
{
    private readonly ulong _linear;
    private readonly byte* _place;
    private readonly byte[] _before;
    private byte[] _after = [];

    /// <summary>Keeps bytes.</summary>
    /// <param name="linear">Their linear address, for reports.</param>
    /// <param name="place">Where they are.</param>
    /// <param name="length">How many.</param>
    public MemoryBefore(ulong linear, byte* place, int length)
    {
        _linear = linear;
        _place = place;
        _before = new Span<byte>(place, length).ToArray();
    }

    /// <summary>Remembers what they are now.</summary>
    public void KeepResult() => _after = new Span<byte>(_place, _before.Length).ToArray();

    /// <summary>Makes them what they were.</summary>
    public void Undo() => _before.CopyTo(new Span<byte>(_place, _before.Length));

    /// <summary>Appends in what they differ from what was remembered.</summary>
    public void Describe(StringBuilder differences)
    {
        var bytes = new Span<byte>(_place, _before.Length);
        if (!bytes.SequenceEqual(_after))
            differences.Append(CultureInfo.InvariantCulture, $"\n  memory at {_linear:x} {Convert.ToHexString(_after)} {Convert.ToHexString(bytes)}");
    }
}
