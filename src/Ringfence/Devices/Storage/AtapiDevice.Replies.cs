using System.Buffers.Binary;
using System.Text;

namespace Ringfence.Devices.Storage;

/// <content>What the drive says about itself and its medium.</content>
internal sealed partial class AtapiDevice
{
    private const int CdProfile = 0x0008;
    private const int DvdProfile = 0x0010;
    private const long MostCdBlocks = 90 * 60 * 75;
    private const byte DataTrack = 0x14;
    private const byte LeadOut = 0xaa;
    private const int PageCurrent = 0;
    private const int PageChangeable = 1;
    private const int PageSaved = 3;

    private static readonly byte[] ErrorRecoveryPage = [0x01, 0x06, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00];

    private static readonly byte[] AudioPage = [0x0e, 0x0e, 0x04, 0, 0, 0, 0, 0, 0x01, 0xff, 0x02, 0xff, 0, 0, 0, 0];

    private int Profile => !HasMedium ? 0 : Blocks > MostCdBlocks ? DvdProfile : CdProfile;

    private byte[] Identify()
    {
        AtaIdentity identity = new()
        {
            [0] = 0x85c0,
            [73] = 0x0000,
            [82] = 0x4210,
            [83] = 0x4000,
            [84] = 0x4000,
            [85] = 0x4210,
            [87] = 0x4000,
            [126] = 0x0000,
        };
        identity.Describe(serial, "RINGFENCE CD-ROM", _transferMode);
        return identity.ToBytes();
    }

    private static byte[] Inquiry()
    {
        byte[] data = new byte[36];
        data[0] = 0x05;
        data[1] = 0x80;
        data[3] = 0x21;
        data[4] = (byte)(data.Length - 5);
        Encoding.ASCII.GetBytes("RINGFENC").CopyTo(data, 8);
        Encoding.ASCII.GetBytes("CD-ROM".PadRight(16)).CopyTo(data, 16);
        Encoding.ASCII.GetBytes("1.0 ").CopyTo(data, 32);
        return data;
    }

    private void ReplySense()
    {
        // Without a failed command a unit attention that waits is what there is to report.
        if (_key == 0 && TakeAttention() is { } attention) SetSense(attention);
        byte[] data = new byte[18];
        data[0] = 0x70;
        data[2] = _key;
        data[7] = (byte)(data.Length - 8);
        data[12] = _code;
        data[13] = _qualifier;
        SetSense(SenseCode.None);
        Reply(data, _packet[4]);
    }

    private void ModeSense(bool isLong, int allocation)
    {
        int control = _packet[2] >> 6;
        int page = _packet[2] & 0x3f;
        if (control == PageSaved)
        {
            Fail(SenseCode.NothingSaved);
            return;
        }

        List<byte> data = [.. new byte[isLong ? 8 : 4]];
        bool isKnown = false;
        foreach (byte[] each in (byte[][])[ErrorRecoveryPage, AudioPage, CapabilitiesPage()])
        {
            if (page != 0x3f && page != each[0]) continue;
            isKnown = true;
            data.AddRange(each[..2]);
            data.AddRange(control == PageChangeable ? new byte[each.Length - 2] : each[2..]);
        }

        if (!isKnown)
        {
            Fail(SenseCode.InvalidField);
            return;
        }

        // The medium type: a data disc, a closed drive without one, or an open one.
        byte type = _isOpen ? (byte)0x71 : HasMedium ? (byte)0x01 : (byte)0x70;
        if (isLong)
        {
            data[1] = (byte)(data.Count - 2);
            data[2] = type;
        }
        else
        {
            data[0] = (byte)(data.Count - 1);
            data[1] = type;
        }

        Reply([.. data], allocation);
    }

    /// <summary>The page of capabilities and mechanical status (MMC-3, 5.5.10): reads CD-R, CD-RW and DVD-ROM, has a tray that locks.</summary>
    private byte[] CapabilitiesPage()
    {
        byte[] page = new byte[20];
        page[0] = 0x2a;
        page[1] = (byte)(page.Length - 2);
        page[2] = 0x3b;
        page[4] = 0x70;
        page[5] = 0x03;
        page[6] = (byte)(0x29 | (_isLocked ? 0x02 : 0));
        BinaryPrimitives.WriteUInt16BigEndian(page.AsSpan(8), 706 * 8);
        BinaryPrimitives.WriteUInt16BigEndian(page.AsSpan(10), 2);
        BinaryPrimitives.WriteUInt16BigEndian(page.AsSpan(12), 512);
        BinaryPrimitives.WriteUInt16BigEndian(page.AsSpan(14), 706 * 8);
        return page;
    }

    private byte[] Capacity()
    {
        byte[] data = new byte[8];
        BinaryPrimitives.WriteUInt32BigEndian(data, (uint)Math.Max(Math.Min(Blocks, uint.MaxValue) - 1, 0));
        BinaryPrimitives.WriteUInt32BigEndian(data.AsSpan(4), BlockBytes);
        return data;
    }

    private void ReadSubChannel()
    {
        bool asksForData = (_packet[2] & 0x40) != 0;
        int format = _packet[3];
        if (asksForData && format is < 1 or > 3)
        {
            Fail(SenseCode.InvalidField);
            return;
        }

        byte[] data = new byte[!asksForData ? 4 : format == 1 ? 16 : 24];
        data[1] = 0x15;
        data[3] = (byte)(data.Length - 4);
        if (asksForData)
        {
            data[4] = (byte)format;
            if (format == 1) (data[5], data[6], data[7]) = (DataTrack, 1, 1);
        }

        Reply(data, Word(7));
    }

    /// <summary>READ TOC/PMA/ATIP (MMC-5, 6.26): one session with one data track. Older drivers put the format into the last byte's top bits.</summary>
    private void ReadToc()
    {
        bool isMsf = (_packet[1] & 2) != 0;
        int format = _packet[2] & 15;
        if (format == 0) format = _packet[9] >> 6;
        int track = _packet[6];
        byte[] data;
        switch (format)
        {
            case 0 when track is <= 1 or LeadOut:
                byte[] first = track == LeadOut ? [] : [0, DataTrack, 1, 0, .. Address(0, isMsf)];
                data = [0, 0, 1, 1, .. first, 0, DataTrack, LeadOut, 0, .. Address(Blocks, isMsf)];
                break;
            case 1:
                data = [0, 0, 1, 1, 0, DataTrack, 1, 0, .. Address(0, isMsf)];
                break;
            case 2 when track <= 1:
                data =
                [
                    0, 0, 1, 1,
                    1, DataTrack, 0, 0xa0, 0, 0, 0, 0, 1, 0, 0,
                    1, DataTrack, 0, 0xa1, 0, 0, 0, 0, 1, 0, 0,
                    1, DataTrack, 0, 0xa2, 0, 0, 0, 0, .. Address(Blocks, true)[1..],
                    1, DataTrack, 0, 0x01, 0, 0, 0, 0, .. Address(0, true)[1..],
                ];
                break;
            default:
                Fail(SenseCode.InvalidField);
                return;
        }

        BinaryPrimitives.WriteUInt16BigEndian(data, (ushort)(data.Length - 2));
        Reply(data, Word(7));
    }

    /// <summary>A block's address in four bytes: its number, or minute, second and frame, which begin two seconds earlier.</summary>
    private static byte[] Address(long block, bool isMsf)
    {
        byte[] address = new byte[4];
        if (isMsf)
        {
            long frame = block + 150;
            (address[1], address[2], address[3]) = ((byte)Math.Min(frame / 75 / 60, 255), (byte)(frame / 75 % 60), (byte)(frame % 75));
        }
        else
        {
            BinaryPrimitives.WriteUInt32BigEndian(address, (uint)Math.Min(block, uint.MaxValue));
        }

        return address;
    }

    /// <summary>GET CONFIGURATION (MMC-5, 6.6, features in chapter 5).</summary>
    private void GetConfiguration()
    {
        int type = _packet[1] & 3;
        int first = Word(2);
        int profile = Profile;
        (int Number, byte Flags, byte[] Data)[] features =
        [
            (0x0000, 0x03, [0, DvdProfile, (byte)(profile == DvdProfile ? 1 : 0), 0, 0, CdProfile, (byte)(profile == CdProfile ? 1 : 0), 0]),
            (0x0001, 0x0b, [0, 0, 0, 2, 1, 0, 0, 0]),
            (0x0003, 0x03, [0x29, 0, 0, 0]),
            (0x0010, Current(profile != 0), [0, 0, 0x08, 0, 0, 1, 0, 0]),
            (0x001e, Current(profile == CdProfile), [0, 0, 0, 0]),
            (0x001f, Current(profile == DvdProfile), []),
            (0x0100, 0x03, []),
            (0x0105, 0x03, []),
        ];
        if (type == 3)
        {
            Fail(SenseCode.InvalidField);
            return;
        }

        List<byte> data = [0, 0, 0, 0, 0, 0, (byte)(profile >> 8), (byte)profile];
        foreach ((int number, byte flags, byte[] content) in features)
        {
            bool isCurrent = (flags & 1) != 0;
            if (type == 2 ? number != first : number < first || (type == 1 && !isCurrent)) continue;
            data.AddRange([(byte)(number >> 8), (byte)number, flags, (byte)content.Length, .. content]);
        }

        byte[] reply = [.. data];
        BinaryPrimitives.WriteUInt32BigEndian(reply, (uint)(reply.Length - 4));
        Reply(reply, Word(7));
    }

    private static byte Current(bool isCurrent) => (byte)(isCurrent ? 1 : 0);

    /// <summary>GET EVENT STATUS NOTIFICATION (MMC-5, 6.7): of the classes there are only media events.</summary>
    private void GetEvent()
    {
        const int Media = 4;
        if ((_packet[1] & 1) == 0)
        {
            // Only polling is implemented.
            Fail(SenseCode.InvalidField);
            return;
        }

        if ((_packet[4] & (1 << Media)) == 0)
        {
            Reply([0, 2, 0x80, 1 << Media], Word(7));
            return;
        }

        byte state = (byte)((_isOpen ? 1 : 0) | (HasMedium ? 2 : 0));
        byte[] reply = [0, 6, Media, 1 << Media, (byte)_event, state, 0, 0];
        if (Word(7) > 4) _event = MediaEvent.None;
        Reply(reply, Word(7));
    }

    /// <summary>READ DISC INFORMATION (MMC-5, 6.22): a finished disc of one session.</summary>
    private static byte[] DiscInformation()
    {
        byte[] data = new byte[34];
        data[1] = (byte)(data.Length - 2);
        data[2] = 0x0e;
        data[3] = data[4] = data[5] = data[6] = 1;
        data[7] = 0x20;
        data.AsSpan(16, 8).Fill(0xff);
        return data;
    }
}
