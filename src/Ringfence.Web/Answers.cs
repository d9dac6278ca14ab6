using System.Text;
using Microsoft.AspNetCore.Http;

namespace Ringfence.Web;

/// <summary>Short answers.</summary>
internal static class Answers
{
    /// <summary>Answers with one line of text.</summary>
    public static Task WriteAsync(HttpResponse response, int status, string line)
    {
        response.StatusCode = status;
        return WriteAsync(response, "text/plain; charset=utf-8", Encoding.UTF8.GetBytes(line + "\n"));
    }

    /// <summary>Answers with content; to HEAD with its size.</summary>
    public static async Task WriteAsync(HttpResponse response, string contentType, ReadOnlyMemory<byte> content)
    {
        response.ContentType = contentType;
        response.ContentLength = content.Length;
        if (!HttpMethods.IsHead(response.HttpContext.Request.Method)) await response.Body.WriteAsync(content, response.HttpContext.RequestAborted).ConfigureAwait(false);
    }
}
