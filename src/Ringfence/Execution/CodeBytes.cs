using Iced.Intel;

namespace Ringfence.Execution;

/// <summary>Guest code bytes for Iced's decoder.</summary>
internal sealed unsafe class CodeBytes : CodeReader
{
    private byte* _at;
    private byte* _end;

    /// <summary>Sets what is decoded next.</summary>
    public void Set(byte* bytes, int length)
    {
        _at = bytes;
        _end = bytes + length;
    }

    /// <inheritdoc/>
    public override int ReadByte() => _at < _end ? *_at++ : -1;
}
