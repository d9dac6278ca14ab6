namespace Ringfence.Cli.Commands;

/// <summary>What <c>ringfence screenshot</c> was asked for.</summary>
/// <param name="Guest">The guest.</param>
/// <param name="Path">Where the picture goes.</param>
/// <param name="After">When it is taken: after power-on, or after <paramref name="Type"/> was typed.</param>
/// <param name="When">Text to wait for; null: none.</param>
/// <param name="Type">Text to type then; null: none, and the picture is taken at once.</param>
internal sealed record ScreenshotOptions(GuestOptions Guest, string Path, TimeSpan After, string? When, string? Type);
