using Iced.Intel;

namespace Ringfence.Execution.Translation.Listing;

/// <summary>Asks the compiler of translated code how it would translate instructions of a kernel, without compiling them.</summary>
internal sealed class TranslationQuestion : IDisposable
{
    private const ulong Origin = 0x1000;

    private readonly ListingProcessor? _processor;

    /// <summary>Makes it for code of 16 (real mode), 32 or 64 bits.</summary>
    public TranslationQuestion(int bits)
    {
        if (TranslationListing.IsSupported) _processor = new ListingProcessor([0x90], bits, Origin);
    }

    /// <summary>Is it translated in place? Otherwise its definition is called. On a host that translated code is not for, what the table alone says.</summary>
    public bool IsInPlace(in Instruction instruction)
    {
        TranslationKind kind = _processor is null
            ? TranslationTable.KindOf(instruction.Code)
            : _processor.Compiler.KindOf(instruction, _processor.Mode);
        return kind != TranslationKind.CallOut;
    }

    /// <inheritdoc/>
    public void Dispose() => _processor?.Dispose();
}
