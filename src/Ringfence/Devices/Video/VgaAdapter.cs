namespace Ringfence.Devices.Video;

/// <summary>
/// A VGA (IBM PS/2 Hardware Interface Technical Reference, Video Subsystem) with the Bochs VBE extensions, as the registers and memory that the guest
/// sees. <see cref="Output"/> draws what it shows.
/// </summary>
internal sealed class VgaAdapter : IStateful, IResettable
{
    /// <summary>First of the VGA's ports.</summary>
    public const ushort Port = 0x3b0;

    /// <summary>Number of the VGA's ports, up to 3DFh.</summary>
    public const int PortLength = 0x30;

    /// <summary>Physical address of the window.</summary>
    public const ulong WindowAddress = 0xa_0000;

    /// <summary>Bytes of the window.</summary>
    public const int WindowLength = 0x2_0000;

    private const byte ColorPorts = 0x01;
    private const byte MemoryEnabled = 0x02;
    private const byte SwitchSense = 0x10;

    private readonly IMachineClock _clock;
    private readonly IFrameMemory _memory;
    private readonly Lock _machineLock;
    private readonly VideoChanges _changes = new();
    private readonly VgaSequencer _sequencer;
    private readonly VgaGraphicsController _graphics;
    private readonly VgaCrtController _crtc;
    private readonly VgaAttributeController _attributes;
    private readonly VgaDac _dac;
    private readonly VgaPlanes _planes;
    private readonly VgaRegisterBar _registers;
    private readonly VideoRenderer _renderer;
    private byte _miscellaneous;
    private byte _feature;
    private byte _enable;
    private long _darkSince;
    private bool _isDark;
    private VgaTiming? _timing;
    private long _timingChange;
    private ulong _misuse;

    /// <summary>Makes an adapter in its power-on state: without a signal.</summary>
    /// <param name="clock">Guest time.</param>
    /// <param name="memory">The frame memory.</param>
    /// <param name="machineLock">The lock under which the guest's accesses come.</param>
    public VgaAdapter(IMachineClock clock, IFrameMemory memory, Lock machineLock)
    {
        _clock = clock;
        _memory = memory;
        _machineLock = machineLock;
        _sequencer = new VgaSequencer(_changes);
        _graphics = new VgaGraphicsController(_changes);
        _crtc = new VgaCrtController(_changes);
        _attributes = new VgaAttributeController(_changes);
        _dac = new VgaDac(_changes);
        Display = new BochsDisplay(memory, _dac, _changes);
        _planes = new VgaPlanes(memory, _sequencer, _graphics, Display);
        LegacyPorts = new BytePorts(ReadPort, WritePort);
        LegacyWindow = new BytePorts(_planes.Read, _planes.Write);
        _registers = new VgaRegisterBar(Edid.Create("Ringfence"), LegacyPorts, Display);
        _renderer = new VideoRenderer(this, clock, memory);
        Reset();
    }

    /// <summary>Ports 3B0h to 3DFh.</summary>
    public IBusDevice LegacyPorts { get; }

    /// <summary>The 128 KiB from A0000h.</summary>
    public IBusDevice LegacyWindow { get; }

    /// <summary>The Bochs extensions, whose ports are 1CEh to 1D0h.</summary>
    public BochsDisplay Display { get; }

    /// <summary>The registers in memory: base address register 2.</summary>
    public IBusDevice Registers => _registers;

    /// <summary>The frame buffer: base address register 0.</summary>
    public IFrameMemory Memory => _memory;

    /// <summary>What is shown.</summary>
    public IVideoOutput Output => _renderer;

    /// <summary>Accesses that no correct driver makes.</summary>
    public ulong MisuseCount =>
        _misuse + _sequencer.MisuseCount + _graphics.MisuseCount + _crtc.MisuseCount + _attributes.MisuseCount + _planes.MisuseCount
        + Display.MisuseCount + _registers.MisuseCount;

    /// <inheritdoc/>
    public string StateName => "vga";

    /// <inheritdoc/>
    public int StateVersion => 1;

    /// <summary>Changes of registers so far; has not moved since <see cref="CopyRegisters"/>: its copy is still right. Any thread.</summary>
    public long ChangeCount => _changes.Count;

    /// <summary>Copies the registers under the machine lock.</summary>
    /// <returns>The count of changes the copy belongs to.</returns>
    public long CopyRegisters(VideoRegisters copy)
    {
        lock (_machineLock)
        {
            _crtc.Values.CopyTo(copy.Crtc);
            _sequencer.Values.CopyTo(copy.Sequencer);
            _graphics.Values.CopyTo(copy.Graphics);
            _attributes.Values.CopyTo(copy.Attributes);
            _dac.Colors.CopyTo(copy.Colors);
            copy.ColorMask = _dac.Mask;
            copy.HasWideColors = _dac.IsWide;
            copy.DarkSince = _isDark ? _darkSince : null;
            copy.Packed = Display.IsOn
                ? new PackedMode(Display.Width, Display.Height, Display.BitsPerPixel, Display.Stride, Display.Start, Display.IsBigEndian)
                : null;
            return _changes.Count;
        }
    }

    /// <summary>Adds the pages of the frame memory written since the last call. Any thread, one call at a time, not under the machine lock.</summary>
    /// <returns>Whether there may be any.</returns>
    public bool TakeDirty(Span<ulong> pages)
    {
        bool any = _memory.TakeDirty(pages);
        if (!_planes.HasDirty) return any;
        lock (_machineLock) _planes.TakeDirty(pages);
        return true;
    }

    /// <summary>The frame memory goes away: from here on <see cref="Output"/> shows the last picture. Not under the machine lock.</summary>
    public void Close() => _renderer.Close();

    /// <inheritdoc/>
    public void Reset()
    {
        _sequencer.Reset();
        _graphics.Reset();
        _crtc.Reset();
        _attributes.Reset();
        _dac.Reset();
        Display.Reset();
        _planes.Reset();
        _miscellaneous = _feature = _enable = 0;
        UpdateDark();
    }

    /// <inheritdoc/>
    public void DescribeState(IStateVisitor visitor)
    {
        _sequencer.DescribeState(visitor);
        _graphics.DescribeState(visitor);
        _crtc.DescribeState(visitor);
        _attributes.DescribeState(visitor);
        _dac.DescribeState(visitor);
        Display.DescribeState(visitor);
        _planes.DescribeState(visitor);
        visitor.Field("miscellaneous", ref _miscellaneous);
        visitor.Field("feature", ref _feature);
        visitor.Field("enable", ref _enable);
        _planes.IsEnabled = (_miscellaneous & MemoryEnabled) != 0;
        UpdateDark();
    }

    private byte ReadPort(int offset)
    {
        switch (Port + Normalize(offset))
        {
            case 0x3c0:
                return _attributes.Address;
            case 0x3c1:
                return _attributes.Read();
            case 0x3c2:
                return SwitchSense;
            case 0x3c3:
                return _enable;
            case 0x3c4:
                return _sequencer.Index;
            case 0x3c5:
                return _sequencer.Read();
            case 0x3c6:
                return _dac.Mask;
            case 0x3c7:
                return _dac.State;
            case 0x3c8:
                return _dac.WriteIndex;
            case 0x3c9:
                return _dac.ReadData();
            case 0x3ca:
                return _feature;
            case 0x3cc:
                return _miscellaneous;
            case 0x3ce:
                return _graphics.Index;
            case 0x3cf:
                return _graphics.Read();
            case 0x3d4:
                return _crtc.Index;
            case 0x3d5:
                return _crtc.Read();
            case 0x3da:
                _attributes.ExpectIndex();
                return Timing().Status(_clock.Now);
            default:
                // Adapters for the other monitor are looked for here; nobody answers.
                return 0xff;
        }
    }

    private void WritePort(int offset, byte value)
    {
        switch (Port + Normalize(offset))
        {
            case 0x3c0:
                _attributes.WritePort(value);
                UpdateDark();
                break;
            case 0x3c2:
                _changes.Set(ref _miscellaneous, value);
                _planes.IsEnabled = (value & MemoryEnabled) != 0;
                break;
            case 0x3c3:
                _enable = (byte)(value & 1);
                break;
            case 0x3c4:
                _sequencer.Index = value;
                break;
            case 0x3c5:
                _sequencer.Write(value);
                UpdateDark();
                break;
            case 0x3c6:
                _dac.Mask = value;
                break;
            case 0x3c7:
                _dac.SetReadIndex(value);
                break;
            case 0x3c8:
                _dac.WriteIndex = value;
                break;
            case 0x3c9:
                _dac.WriteData(value);
                break;
            case 0x3ce:
                _graphics.Index = value;
                break;
            case 0x3cf:
                _graphics.Write(value);
                break;
            case 0x3d4:
                _crtc.Index = value;
                break;
            case 0x3d5:
                _crtc.Write(value);
                break;
            case 0x3da:
                _feature = (byte)(value & 0x0b);
                break;
            default:
                _misuse++;
                break;
        }
    }

    /// <summary>The offset of a port that moves with the monitor, as if it were a color monitor; -1 if the port is the other monitor's.</summary>
    private int Normalize(int offset)
    {
        bool isColor = (_miscellaneous & ColorPorts) != 0;
        return offset switch
        {
            0x04 or 0x05 or 0x0a => isColor ? -1 : offset + 0x20,
            0x24 or 0x25 or 0x2a => isColor ? offset : -1,
            _ => offset,
        };
    }

    private VgaTiming Timing()
    {
        if (_timing is null || _timingChange != _changes.Count)
        {
            _timing = Display.IsOn ? new VgaTiming(Display.Height) : new VgaTiming(_crtc.Values, _sequencer[VgaSequencer.ClockingMode], _miscellaneous);
            _timingChange = _changes.Count;
        }

        return _timing;
    }

    /// <summary>Software turns the screen off for a moment while it sets palettes and fonts; since when is what tells that from a dark screen.</summary>
    private void UpdateDark()
    {
        bool isDark = !_attributes.IsShown || _sequencer.IsScreenOff;
        if (isDark == _isDark) return;
        _isDark = isDark;
        _darkSince = _clock.Now;
        _changes.Raise();
    }
}
