using System.Buffers.Binary;
using Ringfence.Host;

namespace Ringfence.Virtualizability.HostProcessors;

/// <summary>
/// Executes single instructions on the host's own processor at CPL 3, in a child process that has no libc, no runtime, no files but its
/// two pipes, and that may crash: it is started again. Nothing that is executed can harm this process or the host (<see cref="HostProbeFilter"/>).
/// Not thread-safe. Only on Linux x86-64.
/// </summary>
internal sealed class HostProcessorProbe : IDisposable
{
    private const byte LandingPad = 0xf4;  // HLT: one byte, and #GP at CPL 3.
    private const ulong TrapFlag = 1 << 8;
    private const int RequestBytes = HostProbeRecords.RequestBytes + (3 * HostProbeLayout.AreaBytes);
    private const int FullAnswerBytes = HostProbeRecords.AnswerBytes + (2 * HostProbeLayout.AreaBytes);

    private readonly byte[] _image;
    private HelperProcess? _process;
    private bool _disposed;

    /// <summary>Prepares; the child starts with the first <see cref="Execute"/>.</summary>
    /// <param name="layout">Where code, data and stack lie; null: anywhere.</param>
    /// <exception cref="PlatformNotSupportedException">Not <see cref="IsSupported"/>.</exception>
    public HostProcessorProbe(HostProbeLayout? layout = null)
    {
        if (!IsSupported) throw new PlatformNotSupportedException("Instructions are executed on the host's processor on Linux x86-64 only.");
        Layout = layout ?? new HostProbeLayout();
        _image = HostProbeImage.Build(Layout);
    }

    /// <summary>Can this host do it?</summary>
    public static bool IsSupported => HelperProcess.IsSupported;

    /// <summary>Where code, data and stack lie.</summary>
    public HostProbeLayout Layout { get; }

    /// <summary>How long to wait for an answer. Code that loops is ended much earlier by the child's timer, which counts processor time only.</summary>
    public TimeSpan Patience { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Children started.</summary>
    public int Starts { get; private set; }

    /// <summary>The child's process identifier; null if there is none now.</summary>
    public int? ProcessId => _process?.Id;

    /// <summary>Executes one instruction.</summary>
    /// <exception cref="ArgumentException">The case does not fit into the areas, or its selectors cannot be loaded.</exception>
    /// <exception cref="IOException">The host refuses to start the child.</exception>
    public HostOutcome Execute(HostCase hostCase)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        byte[] request = BuildRequest(hostCase);
        _process ??= Start();
        byte[] answer = new byte[FullAnswerBytes];
        if (!_process.TryWrite(request, Patience) || !_process.TryRead(answer, Patience))
        {
            Stop();
            return new HostOutcome { Kind = HostOutcomeKind.Died };
        }

        ReadOnlyMemory<byte> code = request.AsMemory(HostProbeRecords.RequestBytes, HostProbeLayout.AreaBytes);
        HostOutcome outcome = HostOutcome.Read(
            answer, Layout.Code + (ulong)hostCase.CodeOffset, address => address - Layout.Code < (ulong)code.Length && code.Span[(int)(address - Layout.Code)] == LandingPad);
        return outcome.Kind == HostOutcomeKind.Trapped && outcome.Rip - HostProbeLayout.ProbeCode < HostProbeLayout.ProbeCodeBytes
            ? throw new ArgumentException($"The host cannot enter the case: {outcome.Describe()}.", nameof(hostCase))
            : outcome;
    }

    /// <summary>Ends the child.</summary>
    public void Dispose()
    {
        _disposed = true;
        Stop();
    }

    private byte[] BuildRequest(HostCase hostCase)
    {
        if (hostCase.Bitness is not (32 or 64)) throw new ArgumentException($"Code is of 32 or 64 bits, not {hostCase.Bitness}.", nameof(hostCase));
        if ((hostCase.Flags & TrapFlag) != 0) throw new ArgumentException("TF would trap before the instruction.", nameof(hostCase));
        byte[] request = new byte[RequestBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(request.AsSpan(HostProbeRecords.Entry), Layout.Code + (uint)hostCase.CodeOffset);
        WriteSelector(request, HostProbeRecords.Entry + sizeof(uint), hostCase.Bitness == 64 ? HostCase.LongCodeSelector : HostCase.CompatibilityCodeSelector);
        WriteSelector(request, HostProbeRecords.Ds, hostCase.Ds);
        WriteSelector(request, HostProbeRecords.Es, hostCase.Es);
        WriteSelector(request, HostProbeRecords.Fs, hostCase.Fs);
        WriteSelector(request, HostProbeRecords.Gs, hostCase.Gs);
        BinaryPrimitives.WriteUInt64LittleEndian(request.AsSpan(HostProbeRecords.Flags), hostCase.Flags);
        for (int i = 0; i < hostCase.Registers.Count; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(request.AsSpan(HostProbeRecords.GeneralRegisters + (i * sizeof(ulong))), hostCase.Registers[i]);

        Area(request, 0).Fill(LandingPad);
        hostCase.Code.Span.CopyTo(Area(request, 0)[hostCase.CodeOffset..]);
        hostCase.Data.Span.CopyTo(Area(request, 1));
        hostCase.Stack.Span.CopyTo(Area(request, 2));
        return request;
    }

    private static void WriteSelector(byte[] request, int offset, ushort selector) =>
        BinaryPrimitives.WriteUInt16LittleEndian(request.AsSpan(offset), selector);

    private static Span<byte> Area(byte[] request, int index) =>
        request.AsSpan(HostProbeRecords.RequestBytes + (index * HostProbeLayout.AreaBytes), HostProbeLayout.AreaBytes);

    private HelperProcess Start()
    {
        HelperProcess process = HelperProcess.Start("ringfence-probe", _image);
        Starts++;
        byte[] ready = new byte[FullAnswerBytes];
        if (process.TryRead(ready, Patience)) return process;
        process.Dispose();
        throw new IOException("the host ends the child process that executes instructions");
    }

    private void Stop()
    {
        _process?.Dispose();
        _process = null;
    }
}
