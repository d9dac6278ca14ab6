using Iced.Intel;

namespace Ringfence.Guests;

/// <summary>A named place in code that is called or jumped to from other files.</summary>
internal sealed class Routine(Label label)
{
#pragma warning disable CA1051 // Iced marks a label through a reference to it.
    public Label Label = label;
#pragma warning restore CA1051

    public string Name => Label.Name;

    public static implicit operator Label(Routine routine) => routine.Label;
}
