namespace Ringfence.Tests.Firmware;

/// <summary>The Debian images that <c>eng/fetch-guests.sh</c> has put into <c>guests/</c>, if it has been run.</summary>
internal static class Guests
{
    /// <summary>Path of the first file of that name below <c>guests/</c>, or null.</summary>
    public static string? Find(string name)
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string guests = Path.Combine(folder.FullName, "guests");
            if (!File.Exists(Path.Combine(folder.FullName, "Ringfence.slnx")) || !Directory.Exists(guests)) continue;
            EnumerationOptions options = new() { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.None };
            return Directory.EnumerateFiles(guests, name, options).FirstOrDefault();
        }

        return null;
    }
}
