namespace Ringfence.Host;

/// <summary>Which parts of a range of addresses are free: sorted, never touching each other, lowest fit first. Not thread-safe.</summary>
internal sealed class FreeRanges
{
    private readonly List<(nuint Start, nuint Length)> _free = [];

    public FreeRanges(nuint start, nuint length) => _free.Add((start, length));

    /// <summary>Takes the lowest free range of <paramref name="length"/> bytes (not 0). False if there is none.</summary>
    public bool TryTake(nuint length, out nuint start)
    {
        for (int i = 0; i < _free.Count; i++)
        {
            (nuint freeStart, nuint freeLength) = _free[i];
            if (freeLength < length) continue;
            start = freeStart;
            if (freeLength == length) _free.RemoveAt(i);
            else _free[i] = (freeStart + length, freeLength - length);
            return true;
        }

        start = 0;
        return false;
    }

    /// <summary>Gives back what <see cref="TryTake"/> gave; free neighbours become one range again.</summary>
    public void Give(nuint start, nuint length)
    {
        int next = _free.FindIndex(range => range.Start > start);
        if (next < 0) next = _free.Count;
        if (next < _free.Count && start + length == _free[next].Start)
        {
            length += _free[next].Length;
            _free.RemoveAt(next);
        }

        if (next > 0 && _free[next - 1].Start + _free[next - 1].Length == start)
            _free[next - 1] = (_free[next - 1].Start, _free[next - 1].Length + length);
        else
            _free.Insert(next, (start, length));
    }
}
