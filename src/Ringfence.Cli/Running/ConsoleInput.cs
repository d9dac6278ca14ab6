using Ringfence.Cli.Host;
using Ringfence.Machines;

namespace Ringfence.Cli.Running;

/// <summary>
/// Carries standard input to the guest: keys one by one from a raw terminal, with the monitor's own key sequences taken out; anything
/// else byte for byte, no faster than the guest takes it. The end of the input does not end the machine.
/// </summary>
/// <param name="write">Gives the guest bytes.</param>
/// <param name="isBusy">Whether the guest has not taken all of them yet.</param>
/// <param name="interactive">Whether standard input is the raw terminal.</param>
/// <param name="requested">Called with what the user asks the monitor for.</param>
internal sealed class ConsoleInput(Action<byte[]> write, Func<bool> isBusy, bool interactive, Action<ConsoleRequest> requested)
{
    private const int ChunkBytes = 4096;
    private const int PollMilliseconds = 2;

    private readonly EscapeDecoder _decoder = new();

    /// <summary>Carries it to a console.</summary>
    public ConsoleInput(InteractiveConsole console, bool interactive, Action<ConsoleRequest> requested)
        : this(bytes => console.Write(bytes), () => console.PendingInput > 0, interactive, requested)
    {
    }

    /// <summary>Carries the keys of a raw terminal to the guest's keyboard.</summary>
    public ConsoleInput(Screen screen, Action<ConsoleRequest> requested)
        : this(bytes => Press(screen, bytes), () => false, interactive: true, requested)
    {
    }

    /// <summary>Begins, on a thread of its own that ends with the process.</summary>
    public void Start() => new Thread(Run) { IsBackground = true, Name = "stdin" }.Start();

    private void Run()
    {
        byte[] buffer = new byte[ChunkBytes];
        List<byte> keys = [];
        try
        {
            for (int read; (read = StandardStream.Read(buffer)) > 0;)
            {
                if (!interactive)
                {
                    write(buffer[..read]);
                    while (isBusy()) Thread.Sleep(PollMilliseconds);
                    continue;
                }

                keys.Clear();
                for (int i = 0; i < read; i++)
                {
                    ConsoleRequest request = _decoder.Take(buffer[i], keys);
                    if (request != ConsoleRequest.None) requested(request);
                }

                if (keys.Count > 0) write([.. keys]);
            }
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            // A terminal that has gone away is the end of the input.
        }
    }

    private static void Press(Screen screen, byte[] bytes)
    {
        foreach (KeyChord chord in TerminalKeys.Decode(bytes)) chord.Press(screen);
    }
}
