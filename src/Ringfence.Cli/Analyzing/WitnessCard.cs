using Ringfence.Cli.Pages;
using Ringfence.Virtualizability;

namespace Ringfence.Cli.Analyzing;

/// <summary>An experiment on a page: two states side by side, and what differed.</summary>
internal static class WitnessCard
{
    /// <summary>The markup.</summary>
    public static HtmlBuilder Create(Witness witness)
    {
        // Of a control-sensitive instruction the second state is the first one, after it.
        bool isOneState = witness.Property == WitnessedProperty.ControlSensitive;
        bool differs = witness.FirstValue != witness.SecondValue;
        return new HtmlBuilder().Add($"""
            <figure class="witness">
            <figcaption><strong>{Claim(witness.Property)}</strong> <span class="code"><code>{witness.Assembler}</code> <code class="quiet">{witness.Bytes}</code></span> <span class="quiet">{witness.Scenario}</span></figcaption>
            <dl class="states{(differs ? " differ" : "")}">
            <div><dt>{(isOneState ? "before" : "first")}: {witness.First}</dt><dd>{Element(witness)}<code>{witness.FirstValue}</code></dd></div>
            <div><dt>{(isOneState ? "after" : "second")}: {witness.Second}</dt><dd>{Element(witness)}<code>{witness.SecondValue}</code></dd></div>
            </dl></figure>

            """);
    }

    // Of a trap the value says all: "completes", or its vector.
    private static HtmlBuilder Element(Witness witness) =>
        witness.Property is WitnessedProperty.Privileged or WitnessedProperty.NotPrivileged ? new HtmlBuilder() : new HtmlBuilder().Add($"""<span class="quiet">{witness.Element}</span> """);

    private static string Claim(WitnessedProperty property) => property switch
    {
        WitnessedProperty.Privileged => "Traps in user mode and not in supervisor mode",
        WitnessedProperty.NotPrivileged => "Does not trap in user mode",
        WitnessedProperty.ControlSensitive => "Changes privileged state without a trap",
        _ => "Gives a program another result where everything it can see is the same",
    };
}
