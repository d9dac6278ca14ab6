namespace Ringfence.Web;

/// <summary>A file of the page.</summary>
/// <param name="Content">Its bytes.</param>
/// <param name="ContentType">What they are.</param>
/// <param name="EntityTag">A strong validator (RFC 9110 8.8.3), in quotes: the same for the same bytes.</param>
internal sealed record PageFile(byte[] Content, string ContentType, string EntityTag);
