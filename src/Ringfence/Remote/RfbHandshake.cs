using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Ringfence.Remote;

/// <summary>Version and security (RFC 6143 7.1, 7.2 and appendix A for versions 3.3 and 3.7).</summary>
internal sealed class RfbHandshake(Stream stream, RfbReader reader, RfbServerOptions options, RfbCounters counters)
{
    private const int None = 1;
    private const int Vnc = 2;

    /// <summary>Lets a client in.</summary>
    /// <param name="isTrusted">Someone else has checked who it is.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <returns>False: the password was wrong, and the client knows.</returns>
    public async Task<bool> RunAsync(bool isTrusted, CancellationToken cancellation)
    {
        await stream.WriteAsync("RFB 003.008\n"u8.ToArray(), cancellation).ConfigureAwait(false);
        int minor = ReadVersion((await reader.ReadAsync(12, cancellation).ConfigureAwait(false)).Span);
        int type = isTrusted || options.Password is null ? None : Vnc;
        if (minor < 7)
        {
            await stream.WriteAsync(new byte[] { 0, 0, 0, (byte)type }, cancellation).ConfigureAwait(false);
        }
        else
        {
            await stream.WriteAsync(new byte[] { 1, (byte)type }, cancellation).ConfigureAwait(false);
            if (await reader.ReadByteAsync(cancellation).ConfigureAwait(false) != type) throw new RfbProtocolException("not the security type that was offered");
        }

        bool isRight = type == None || await AskAsync(options.Password!, cancellation).ConfigureAwait(false);
        if (!isRight)
        {
            Interlocked.Increment(ref counters.Refused);
            await Task.Delay(options.RefusalDelay, cancellation).ConfigureAwait(false);
        }

        if (type == None && minor < 8) return true;
        RfbWriter result = new();
        result.U32(isRight ? 0u : 1);
        if (!isRight && minor >= 8)
        {
            ReadOnlySpan<byte> reason = "The password is wrong."u8;
            result.U32((uint)reason.Length);
            result.Add(reason);
        }

        await stream.WriteAsync(result.Written, cancellation).ConfigureAwait(false);
        return isRight;
    }

    private async Task<bool> AskAsync(string password, CancellationToken cancellation)
    {
        byte[] challenge = RandomNumberGenerator.GetBytes(VncAuthentication.ChallengeBytes);
        await stream.WriteAsync(challenge, cancellation).ConfigureAwait(false);
        ReadOnlyMemory<byte> response = await reader.ReadAsync(VncAuthentication.ChallengeBytes, cancellation).ConfigureAwait(false);
        return CryptographicOperations.FixedTimeEquals(response.Span, VncAuthentication.Respond(password, challenge));
    }

    private static int ReadVersion(ReadOnlySpan<byte> text)
    {
        string version = Encoding.Latin1.GetString(text);
        if (!version.StartsWith("RFB ", StringComparison.Ordinal) || version[7] != '.' || version[11] != '\n'
            || !int.TryParse(version.AsSpan(4, 3), NumberStyles.None, CultureInfo.InvariantCulture, out int major)
            || !int.TryParse(version.AsSpan(8, 3), NumberStyles.None, CultureInfo.InvariantCulture, out int minor)
            || major < 3)
        {
            throw new RfbProtocolException("no version of RFB");
        }

        return major > 3 ? 8 : minor;
    }
}
