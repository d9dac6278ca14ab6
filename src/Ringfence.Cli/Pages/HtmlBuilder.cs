using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace Ringfence.Cli.Pages;

/// <summary>
/// Builds HTML from interpolated strings: what is written there is markup, every value put into it is text and is escaped, in elements
/// and in attribute values (which always stand in quotes). Only another builder is put in as it is. A string that is not interpolated
/// cannot be added at all, so that no text becomes markup by mistake.
/// </summary>
internal sealed class HtmlBuilder
{
    private readonly StringBuilder _html = new();

    /// <summary>Adds markup with values.</summary>
    public HtmlBuilder Add([InterpolatedStringHandlerArgument("")] ref Markup markup)
    {
        _ = markup;
        return this;
    }

    /// <inheritdoc/>
    public override string ToString() => _html.ToString();

    private void AddText(ReadOnlySpan<char> text)
    {
        const char Replacement = '\ufffd';
        foreach (char c in text)
        {
            switch (c)
            {
                case '&': _html.Append("&amp;"); break;
                case '<': _html.Append("&lt;"); break;
                case '>': _html.Append("&gt;"); break;
                case '"': _html.Append("&quot;"); break;
                case '\'': _html.Append("&#39;"); break;
                case '\t' or '\n' or '\r': _html.Append(c); break;
                default: _html.Append(char.IsControl(c) ? Replacement : c); break;
            }
        }
    }

    /// <summary>Takes an interpolated string apart.</summary>
    [InterpolatedStringHandler]
    internal readonly ref struct Markup(int literalLength, int formattedCount, HtmlBuilder builder)
    {
        private readonly HtmlBuilder _builder = Reserve(builder, literalLength, formattedCount);

        /// <summary>Markup.</summary>
        public void AppendLiteral(string markup) => _builder._html.Append(markup);

        /// <summary>Text.</summary>
        public void AppendFormatted(string? text) => _builder.AddText(text);

        /// <summary>Markup that was built before.</summary>
        public void AppendFormatted(HtmlBuilder html) => _builder._html.Append(html._html);

        /// <summary>A number and the like, in the invariant culture.</summary>
        public void AppendFormatted<T>(T value, string? format = null)
            where T : IFormattable => _builder.AddText(value.ToString(format, CultureInfo.InvariantCulture));

        private static HtmlBuilder Reserve(HtmlBuilder builder, int literalLength, int formattedCount)
        {
            const int TypicalTextLength = 16;
            builder._html.EnsureCapacity(builder._html.Length + literalLength + (formattedCount * TypicalTextLength));
            return builder;
        }
    }
}
