using Microsoft.AspNetCore.Http;
using Ringfence.Machines;

namespace Ringfence.Web;

/// <summary>Answers requests: first who asks (<see cref="AccessControl"/>), then what for.</summary>
internal sealed class RequestHandler(VirtualMachine machine, AccessControl access, WebSocketEndpoints sockets, MachineCommands commands, WebCounters counters)
{
    private const string AssetPrefix = "/assets/";
    private const string CommandPrefix = "/machine/";
    private const string ContentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; base-uri 'none'; frame-ancestors 'none'";

    private readonly PageFiles _page = PageFiles.Read();

    /// <summary>Answers a request.</summary>
    public Task HandleAsync(HttpContext context)
    {
        HttpRequest request = context.Request;
        HttpResponse response = context.Response;
        response.Headers.ContentSecurityPolicy = ContentSecurityPolicy;
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers["Referrer-Policy"] = "no-referrer";
        // Cookies and sites know no ports: another server of this host is the same site, but not the same origin.
        response.Headers["Cross-Origin-Resource-Policy"] = "same-origin";
        response.Headers["Cross-Origin-Opener-Policy"] = "same-origin";
        response.Headers.CacheControl = "no-store";
        string path = request.Path.Value ?? "";
        bool isRead = HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method);
        if (!access.IsForThisHost(request)) return Refuse(response, ref counters.Foreign, "This is not the address of this page.");
        if (isRead && path == "/" && request.Query.TryGetValue("token", out var token)) return LogIn(response, token.Count == 1 ? token[0] : null);
        if (!access.CarriesSecret(request)) return Refuse(response, ref counters.Refused, "Open the address with the token that ringfence has printed.");
        if (context.WebSockets.IsWebSocketRequest || HttpMethods.IsPost(request.Method))
        {
            if (!access.IsOfOwnOrigin(request)) return Refuse(response, ref counters.Foreign, "Another site's page asks for this.");
            return context.WebSockets.IsWebSocketRequest ? sockets.ServeAsync(context) : CommandAsync(context, path);
        }

        if (!isRead) return Answers.WriteAsync(response, StatusCodes.Status405MethodNotAllowed, "There is nothing to do so with.");
        if (path == "/screen.png") return SendScreenAsync(response);
        if (path == "/") return _page.Index is { } index ? SendFileAsync(context, index) : Answers.WriteAsync(response, StatusCodes.Status404NotFound, $"{PageFiles.Missing}.");
        if (path.StartsWith(AssetPrefix, StringComparison.Ordinal) && _page.TryFind(path[AssetPrefix.Length..], out PageFile? file)) return SendFileAsync(context, file);
        return Answers.WriteAsync(response, StatusCodes.Status404NotFound, "There is no such page.");
    }

    private static Task Refuse(HttpResponse response, ref long counter, string line)
    {
        Interlocked.Increment(ref counter);
        // Whoever is refused gets no second request on the same connection.
        response.Headers.Connection = "close";
        return Answers.WriteAsync(response, StatusCodes.Status403Forbidden, line);
    }

    private static Task SendFileAsync(HttpContext context, PageFile file)
    {
        HttpResponse response = context.Response;
        response.Headers.CacheControl = "private, no-cache";
        response.Headers.ETag = file.EntityTag;
        if (context.Request.Headers.IfNoneMatch == file.EntityTag)
        {
            response.StatusCode = StatusCodes.Status304NotModified;
            return Task.CompletedTask;
        }

        return Answers.WriteAsync(response, file.ContentType, file.Content);
    }

    private Task LogIn(HttpResponse response, string? token)
    {
        if (!access.IsRight(token)) return Refuse(response, ref counters.Refused, "The token is wrong.");
        Interlocked.Increment(ref counters.Accepted);
        access.Admit(response);
        response.StatusCode = StatusCodes.Status303SeeOther;
        response.Headers.Location = "/";
        return Task.CompletedTask;
    }

    private async Task CommandAsync(HttpContext context, string path)
    {
        HttpResponse response = context.Response;
        string name = path.StartsWith(CommandPrefix, StringComparison.Ordinal) ? path[CommandPrefix.Length..] : "";
        if (!commands.Has(name))
        {
            await Answers.WriteAsync(response, StatusCodes.Status404NotFound, "There is no such command.").ConfigureAwait(false);
            return;
        }

        string? failure = await commands.RunAsync(name, context.RequestAborted).ConfigureAwait(false);
        sockets.Figures.Pulse();
        if (failure is null) response.StatusCode = StatusCodes.Status204NoContent;
        else await Answers.WriteAsync(response, StatusCodes.Status409Conflict, failure).ConfigureAwait(false);
    }

    private Task SendScreenAsync(HttpResponse response)
    {
        if (machine.Screen is not { } screen) return Answers.WriteAsync(response, StatusCodes.Status409Conflict, "The machine has no display adapter.");
        ScreenImage image = screen.Capture();
        if (image.Width == 0) return Answers.WriteAsync(response, StatusCodes.Status409Conflict, "The screen is off.");
        using MemoryStream png = new();
        image.SavePng(png);
        return Answers.WriteAsync(response, "image/png", png.ToArray());
    }
}
