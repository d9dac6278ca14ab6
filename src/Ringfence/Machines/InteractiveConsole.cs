using System.Text;

namespace Ringfence.Machines;

/// <summary>A console that also takes what is typed: the other end of a device with two directions.</summary>
public abstract class InteractiveConsole : GuestConsole
{
    private readonly object _sync = new();
    private readonly Queue<byte> _input = new();
    private Action? _inputWaiting;

    private protected InteractiveConsole(string name, int transcriptCharacters)
        : base(name, transcriptCharacters)
    {
    }

    /// <summary>Bytes written here that the guest's device has not yet taken.</summary>
    public int PendingInput
    {
        get
        {
            lock (_sync) return _input.Count;
        }
    }

    /// <summary>Sends bytes to the guest. They wait here until the guest is ready for them; also before the machine is started.</summary>
    public void Write(ReadOnlySpan<byte> data)
    {
        Action? waiting;
        lock (_sync)
        {
            foreach (byte value in data) _input.Enqueue(value);
            waiting = _inputWaiting;
        }

        waiting?.Invoke();
    }

    /// <summary>Sends a text (UTF-8).</summary>
    public void Write(string text) => Write(Encoding.UTF8.GetBytes(text));

    /// <summary>Types a line: the text and a carriage return, as the Enter key sends it.</summary>
    public void WriteLine(string text) => Write(text + "\r");

    /// <summary>Connects the device: <paramref name="waiting"/> is called, without a lock held, when there is something to take.</summary>
    internal void Connect(Action waiting)
    {
        lock (_sync) _inputWaiting = waiting;
    }

    /// <summary>Takes up to as many bytes as fit. Under the machine lock.</summary>
    internal int Take(Span<byte> data)
    {
        lock (_sync)
        {
            int count = Math.Min(data.Length, _input.Count);
            for (int i = 0; i < count; i++) data[i] = _input.Dequeue();
            return count;
        }
    }
}
