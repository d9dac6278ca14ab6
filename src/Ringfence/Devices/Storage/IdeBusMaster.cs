using System.Buffers.Binary;

namespace Ringfence.Devices.Storage;

/// <summary>
/// The bus master of an IDE channel: it walks a table of physical regions (82371SB data sheet, 2.5 and 3.5.3; Programming Interface for Bus
/// Master IDE Controller 1.0). A table that is too short ends the transfer and leaves the device waiting; every region has at least two
/// bytes, so that no table makes a transfer endless.
/// </summary>
/// <param name="memory">Guest memory.</param>
/// <param name="mayMaster">Is the function allowed to access memory?</param>
internal sealed class IdeBusMaster(IGuestMemory memory, Func<bool> mayMaster)
{
    private const byte Start = 0x01;
    private const byte ToMemory = 0x08;
    private const byte Active = 0x01;
    private const byte Error = 0x02;
    private const byte Interrupt = 0x04;
    private const byte DevicesCapable = 0x60;
    private const int EntryBytes = 8;

    private byte _command;
    private byte _status;
    private uint _table;
    private uint _next;
    private uint _address;
    private int _left;
    private bool _isLast;

    /// <summary>Is a transfer begun and not at its table's end?</summary>
    public bool IsActive => (_status & Active) != 0;

    /// <summary>Reads one of the eight registers.</summary>
    public byte Read(int register) => register switch
    {
        0 => _command,
        2 => _status,
        >= 4 => (byte)(_table >> (8 * (register - 4))),
        _ => 0,
    };

    /// <summary>Writes one of the eight registers.</summary>
    public void Write(int register, byte value)
    {
        switch (register)
        {
            case 0:
                bool starts = (value & ~_command & Start) != 0;
                _command = (byte)(value & (Start | ToMemory));
                if ((value & Start) == 0) _status &= unchecked((byte)~Active);
                if (!starts) break;
                _status |= Active;
                _next = _table;
                _left = 0;
                _isLast = false;
                break;
            case 2:
                _status = (byte)((_status & ~DevicesCapable & ~(value & (Error | Interrupt))) | (value & DevicesCapable));
                break;
            case >= 4:
                int shift = 8 * (register - 4);
                _table = ((_table & ~(0xffu << shift)) | ((uint)value << shift)) & ~3u;
                break;
        }
    }

    /// <summary>The channel's interrupt line has risen.</summary>
    public void NoteInterrupt() => _status |= Interrupt;

    /// <summary>Moves data as far as the table goes; returns how many bytes.</summary>
    /// <param name="data">The device's data.</param>
    /// <param name="toHost">From the device to memory.</param>
    public int Move(Span<byte> data, bool toHost)
    {
        int moved = 0;
        if (!mayMaster())
        {
            _status = (byte)((_status & ~Active) | Error);
            return 0;
        }

        while (moved < data.Length && IsActive)
        {
            if (_left == 0) LoadEntry();
            int length = Math.Min(_left, data.Length - moved);
            if (toHost) memory.Write(_address, data.Slice(moved, length));
            else memory.Read(_address, data.Slice(moved, length));
            moved += length;
            _address += (uint)length;
            _left -= length;
            if (_left == 0 && _isLast) _status &= unchecked((byte)~Active);
        }

        return moved;
    }

    /// <summary>Takes the registers to their reset values.</summary>
    public void Reset()
    {
        _command = _status = 0;
        _table = _next = _address = 0;
        _left = 0;
        _isLast = false;
    }

    /// <summary>Visits the registers.</summary>
    public void DescribeState(IStateVisitor visitor, string name)
    {
        visitor.Field($"{name}_bm_command", ref _command);
        visitor.Field($"{name}_bm_status", ref _status);
        visitor.Field($"{name}_bm_table", ref _table);
        visitor.Field($"{name}_bm_next", ref _next);
        visitor.Field($"{name}_bm_address", ref _address);
        visitor.Field($"{name}_bm_left", ref _left);
        visitor.Field($"{name}_bm_last", ref _isLast);
        _left = Math.Clamp(_left, 0, 0x1_0000);
    }

    private void LoadEntry()
    {
        Span<byte> entry = stackalloc byte[EntryBytes];
        memory.Read(_next, entry);
        _next += EntryBytes;
        _address = BinaryPrimitives.ReadUInt32LittleEndian(entry) & ~1u;
        _left = BinaryPrimitives.ReadUInt16LittleEndian(entry[4..]) & ~1;
        if (_left == 0) _left = 0x1_0000;
        _isLast = (entry[7] & 0x80) != 0;
    }
}
