using System.Security.Cryptography;

namespace Ringfence.Remote;

/// <summary>VNC authentication (RFC 6143 7.2.2): the challenge encrypted with DES, the password its key with the bits of each byte reversed.</summary>
internal static class VncAuthentication
{
    /// <summary>Bytes of challenge and response.</summary>
    public const int ChallengeBytes = 16;

    /// <summary>Most characters of a password.</summary>
    public const int MaximumPasswordLength = 8;

    /// <summary>The right response.</summary>
    public static byte[] Respond(string password, ReadOnlySpan<byte> challenge)
    {
#pragma warning disable CA5351 // The protocol says DES.
        using DES des = DES.Create();
#pragma warning restore CA5351
        des.Key = Key(password);
        return des.EncryptEcb(challenge, PaddingMode.None);
    }

    /// <summary>Can it be a password? One that makes a weak key of DES cannot.</summary>
    public static bool IsPassword(string password) =>
        password.Length is > 0 and <= MaximumPasswordLength && password.All(c => c is > '\0' and < '\u0100') && !DES.IsWeakKey(Key(password)) && !DES.IsSemiWeakKey(Key(password));

    private static byte[] Key(string password)
    {
        byte[] key = new byte[8];
        for (int i = 0; i < password.Length; i++)
            for (int bit = 0; bit < 8; bit++) key[i] |= (byte)(((password[i] >> bit) & 1) << (7 - bit));
        return key;
    }
}
