namespace Ringfence.Tests.Support;

/// <summary>Rows for tests of code that runs for the first time and of code that has run often enough to be translated in its best form.</summary>
internal static class ColdAndHot
{
    /// <summary>Each name cold, then hot.</summary>
    public static TheoryData<string, bool> Rows(IEnumerable<string> names)
    {
        var data = new TheoryData<string, bool>();
        foreach (string name in names)
        {
            data.Add(name, false);
            data.Add(name, true);
        }

        return data;
    }
}
