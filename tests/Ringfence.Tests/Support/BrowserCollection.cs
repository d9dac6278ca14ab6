namespace Ringfence.Tests.Support;

/// <summary>Tests that open pages in a real browser, one after the other in the same one.</summary>
[CollectionDefinition(Name)]
public sealed class BrowserCollection : ICollectionFixture<Browser>
{
    public const string Name = "Browser";
}
