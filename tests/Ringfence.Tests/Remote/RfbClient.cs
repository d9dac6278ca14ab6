using System.Buffers.Binary;
using System.IO.Compression;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Ringfence.Remote;

namespace Ringfence.Tests.Remote;

/// <summary>A client that decodes what this server sends.</summary>
internal sealed class RfbClient : IDisposable
{
    private readonly MemoryStream _compressed = new();
    private readonly ZLibStream _zlib;
    private int _redShift = 16;
    private int _greenShift = 8;
    private int _blueShift;
    private int _maximum = 255;
    private int _pixelBytes = 4;
    private bool _isBigEndian;
    private uint[]? _map;

    public RfbClient(IPEndPoint server)
        : this(Connect(server))
    {
    }

    /// <summary>Takes a connection over.</summary>
    public RfbClient(Stream stream)
    {
        Stream = stream;
        _zlib = new ZLibStream(_compressed, CompressionMode.Decompress);
    }

    public Stream Stream { get; }

    public int Width { get; private set; }

    public int Height { get; private set; }

    public uint[] Pixels { get; private set; } = [];

    public string Reason { get; private set; } = "";

    public void Dispose()
    {
        _zlib.Dispose();
        Stream.Dispose();
    }

    private static NetworkStream Connect(IPEndPoint server)
    {
        Socket socket = new(server.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 20_000, NoDelay = true };
        socket.Connect(server);
        return new NetworkStream(socket, ownsSocket: true);
    }

    /// <summary>Version and security.</summary>
    /// <returns>Whether the server lets the client in.</returns>
    public bool LogIn(string version, string? password)
    {
        Encoding.ASCII.GetString(Read(12)).ShouldBe("RFB 003.008\n");
        Send(Encoding.ASCII.GetBytes($"RFB {version}\n"));
        int type;
        if (version == "003.003")
        {
            type = (int)U32();
        }
        else
        {
            Read(1)[0].ShouldBe((byte)1);
            type = Read(1)[0];
            Send((byte)type);
        }

        type.ShouldBe(password is null ? 1 : 2);
        if (password is not null) Send(VncAuthentication.Respond(password, Read(16)));
        if (password is null && version != "003.008") return true;
        if (U32() == 0) return true;
        if (version == "003.008") Reason = Encoding.UTF8.GetString(Read((int)U32()));
        return false;
    }

    public void Initialize(params int[] encodings)
    {
        Send((byte)1);
        Width = U16();
        Height = U16();
        Read(16);
        Encoding.UTF8.GetString(Read((int)U32())).ShouldBe("Ringfence");
        Pixels = new uint[Width * Height];
        List<byte> message = [2, 0, 0, (byte)encodings.Length];
        foreach (int encoding in encodings) message.AddRange([(byte)(encoding >> 24), (byte)(encoding >> 16), (byte)(encoding >> 8), (byte)encoding]);
        Send([.. message]);
    }

    public void SetFormat(int bits, int depth, bool bigEndian, int maximum, int red, int green, int blue)
    {
        (_pixelBytes, _isBigEndian, _maximum, _redShift, _greenShift, _blueShift) = (bits / 8, bigEndian, maximum, red, green, blue);
        byte high = (byte)(maximum >> 8);
        byte low = (byte)maximum;
        Send(0, 0, 0, 0, (byte)bits, (byte)depth, bigEndian ? (byte)1 : (byte)0, 1, high, low, high, low, high, low, (byte)red, (byte)green, (byte)blue, 0, 0, 0);
        IsCompact = bits == 32 && depth <= 24;
    }

    /// <summary>Asks for pixels that are numbers of colors.</summary>
    public void SetMappedFormat(int bits)
    {
        (_pixelBytes, _map, IsCompact) = (bits / 8, new uint[256], false);
        Send(0, 0, 0, 0, (byte)bits, (byte)bits, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    }

    /// <summary>What the server said of the size that was asked for: who wanted it, and what became of it.</summary>
    public (int Reason, int Status)? SizeAnswer { get; private set; }

    /// <summary>The server takes QEMU's key events.</summary>
    public bool MaySendKeyCodes { get; private set; }

    /// <summary>Has ZRLE three bytes a pixel?</summary>
    public bool IsCompact { get; set; } = true;

    public void Request(bool incremental) => Send(3, incremental ? (byte)1 : (byte)0, 0, 0, 0, 0, (byte)(Width >> 8), (byte)Width, (byte)(Height >> 8), (byte)Height);

    public void Key(uint keysym, bool down) => Send(4, down ? (byte)1 : (byte)0, 0, 0, (byte)(keysym >> 24), (byte)(keysym >> 16), (byte)(keysym >> 8), (byte)keysym);

    public void Pointer(int buttons, int x, int y) => Send(5, (byte)buttons, (byte)(x >> 8), (byte)x, (byte)(y >> 8), (byte)y);

    public void Send(params byte[] bytes) => Stream.Write(bytes);

    /// <summary>Takes an update.</summary>
    /// <param name="decodes">False: its pixels are thrown away, and so is everything that follows in ZRLE.</param>
    /// <returns>Its pixels.</returns>
    public int Update(bool decodes = true)
    {
        byte message = Read(1)[0];
        if (message == 1)
        {
            _map.ShouldNotBeNull();
            Read(1);
            int first = U16();
            for (int i = first, end = first + U16(); i < end; i++) _map[i] = 0xff00_0000 | ((uint)U16() >> 8 << 16) | ((uint)U16() >> 8 << 8) | ((uint)U16() >> 8);
            message = Read(1)[0];
        }

        message.ShouldBe((byte)0);
        Read(1);
        int sent = 0;
        for (int count = U16(); count > 0; count--)
        {
            int x = U16();
            int y = U16();
            int width = U16();
            int height = U16();
            sent += width * height;
            switch ((int)U32())
            {
                case 0:
                    Put(x, y, width, Enumerable.Range(0, width * height).Select(_ => 0u).ToArray().AsSpan(), Read(width * height * _pixelBytes));
                    break;
                case 16:
                    byte[] tiles = Read((int)U32());
                    if (!decodes) break;
                    _compressed.SetLength(0);
                    _compressed.Write(tiles);
                    _compressed.Position = 0;
                    for (int row = 0; row < height; row += 64)
                        for (int column = 0; column < width; column += 64)
                            Tile(x + column, y + row, Math.Min(64, width - column), Math.Min(64, height - row));
                    break;
                case -258:
                    MaySendKeyCodes = true;
                    break;
                case -308:
                    sent -= width * height;
                    Read(4).ShouldBe([1, 0, 0, 0]);
                    Read(4);
                    (U16(), U16(), U16(), U16(), U32()).ShouldBe((0, 0, width, height, 0u));
                    SizeAnswer = (x, y);
                    if ((width, height) != (Width, Height)) (Width, Height, Pixels) = (width, height, new uint[width * height]);
                    break;
                case -223:
                    (Width, Height, Pixels) = (width, height, new uint[width * height]);
                    break;
                case var other:
                    throw new InvalidOperationException($"encoding {other}");
            }
        }

        return sent;
    }

    private void Put(int x, int y, int width, Span<uint> pixels, byte[] bytes)
    {
        for (int i = 0; i < pixels.Length; i++) pixels[i] = Pixel(bytes.AsSpan(i * _pixelBytes, _pixelBytes));
        Put(x, y, width, pixels);
    }

    private void Put(int x, int y, int width, ReadOnlySpan<uint> pixels)
    {
        for (int start = 0; start < pixels.Length; start += width, y++) pixels.Slice(start, width).CopyTo(Pixels.AsSpan((y * Width) + x));
    }

    private void Tile(int x, int y, int width, int height)
    {
        int kind = Inflate();
        uint[] pixels = new uint[width * height];
        if (kind == 0)
        {
            for (int i = 0; i < pixels.Length; i++) pixels[i] = Compact();
        }
        else if (kind == 1)
        {
            Array.Fill(pixels, Compact());
        }
        else if (kind <= 16)
        {
            uint[] palette = new uint[kind];
            for (int i = 0; i < kind; i++) palette[i] = Compact();
            int bits = kind == 2 ? 1 : kind <= 4 ? 2 : 4;
            for (int row = 0; row < height; row++)
            {
                for (int column = 0, value = 0, left = 0; column < width; column++, left -= bits)
                {
                    if (left == 0) (value, left) = (Inflate(), 8);
                    pixels[(row * width) + column] = palette[(value >> (left - bits)) & ((1 << bits) - 1)];
                }
            }
        }
        else
        {
            kind.ShouldBe(128);
            for (int i = 0; i < pixels.Length;)
            {
                uint pixel = Compact();
                int length = 1;
                int more;
                do length += more = Inflate();
                while (more == 255);
                pixels.AsSpan(i, length).Fill(pixel);
                i += length;
            }
        }

        Put(x, y, width, pixels);
    }

    private uint Compact()
    {
        byte[] bytes = new byte[_pixelBytes];
        int count = IsCompact ? 3 : _pixelBytes;
        bool isLow = (Math.Max(Math.Max(_redShift, _greenShift), _blueShift)) < 24;
        int from = IsCompact && isLow == _isBigEndian ? 1 : 0;
        for (int i = 0; i < count; i++) bytes[from + i] = (byte)Inflate();
        return Pixel(bytes);
    }

    private uint Pixel(ReadOnlySpan<byte> bytes)
    {
        uint value = 0;
        for (int i = 0; i < bytes.Length; i++) value |= (uint)bytes[i] << (8 * (_isBigEndian ? bytes.Length - 1 - i : i));
        if (_map is not null) return _map[value];
        uint Part(int shift) => ((((value >> shift) & (uint)_maximum) * 255) + ((uint)_maximum / 2)) / (uint)_maximum;
        return 0xff00_0000 | (Part(_redShift) << 16) | (Part(_greenShift) << 8) | Part(_blueShift);
    }

    private int Inflate() => _zlib.ReadByte() is >= 0 and var value ? value : throw new InvalidOperationException("the zlib stream ends");

    private int U16() => BinaryPrimitives.ReadUInt16BigEndian(Read(2));

    private uint U32() => BinaryPrimitives.ReadUInt32BigEndian(Read(4));

    private byte[] Read(int count)
    {
        byte[] bytes = new byte[count];
        Stream.ReadExactly(bytes);
        return bytes;
    }
}
