using System.Diagnostics;
using System.Globalization;
using System.Text;
using Ringfence.Cli.Host;

namespace Ringfence.Cli.Imaging;

/// <summary>One line on standard error that says how far some work is; nothing where that is not a terminal.</summary>
internal sealed class ProgressLine : IDisposable
{
    private const string Clear = "\r\e[K";

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    private readonly bool _isShown = Terminal.IsErrorTerminal;
    private readonly Stopwatch _sinceLast = Stopwatch.StartNew();
    private bool _hasText;

    /// <summary>Shows how many bytes are done.</summary>
    public void Show(long done, long total)
    {
        if (!_isShown || _sinceLast.Elapsed < Interval) return;
        _sinceLast.Restart();
        _hasText = true;
        double percent = total == 0 ? 100 : 100.0 * done / total;
        Send(string.Create(CultureInfo.InvariantCulture, $"{Clear}{percent,5:0.0} %  {Sizes.Format(done)} of {Sizes.Format(total)}"));
    }

    /// <summary>Takes the line away.</summary>
    public void Dispose()
    {
        if (_hasText) Send(Clear);
        _hasText = false;
    }

    private static void Send(string text)
    {
        try
        {
            StandardStream.Write(StandardStream.Error, Encoding.UTF8.GetBytes(text));
        }
        catch (IOException)
        {
            // Nobody watches.
        }
    }
}
