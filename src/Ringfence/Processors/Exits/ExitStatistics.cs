using System.Diagnostics;

namespace Ringfence.Processors.Exits;

/// <summary>
/// The accounts of one processor's exits: how many of each reason there were and, if asked for, how long they took. Written by the
/// processor's thread, read by anyone.
/// <para>
/// The definitions of what can be a reason (a sensitive instruction, a device access, a fault's delivery) announce themselves by
/// <see cref="Enter"/> and <see cref="Leave"/>, whichever engine runs them. They nest: what is found inside makes the reason more specific, and
/// the outermost pair is the exit. An engine whose guest code is not C# says when it runs by <see cref="BeginGuest"/> and <see cref="EndGuest"/>;
/// what lies between and announces nothing is a <see cref="ExitReason.CodeLookup"/>.
/// </para>
/// <para>
/// Every moment belongs to one account: guest code, a reason or idleness. Time passes from one to the next at <see cref="Charge"/>.
/// </para>
/// </summary>
public sealed class ExitStatistics
{
    private const int ReasonCount = (int)ExitReason.Shutdown + 1;
    private const int Guest = ReasonCount;
    private const int Idle = ReasonCount + 1;
    private const int Nobody = ReasonCount + 2;

    private readonly long[] _counts = new long[ReasonCount];
    private readonly long[] _ticks = new long[Nobody + 1];
    private int _account = Nobody;
    private int _depth;
    private ExitReason _reason;
    private bool _isAnnounced = true;
    private bool _returnsToGuest;
    private long _since = Stopwatch.GetTimestamp();
    private ulong _address;
    private ulong _detail;

    /// <summary>Exits of one reason so far.</summary>
    public long this[ExitReason reason] => Volatile.Read(ref _counts[(int)reason]);

    /// <summary>Sensitive instructions that reached the monitor, by Iced's code.</summary>
    internal long[] SensitiveInstructions { get; } = new long[Enum.GetValues<Iced.Intel.Code>().Length];

    /// <summary>Time is taken. Only before the processor first runs.</summary>
    internal bool IsTimed { get; set; }

    /// <summary>Where exits are recorded. Needs <see cref="IsTimed"/>.</summary>
    internal IExitRecorder? Recorder { get; set; }

    /// <summary>Time that exits of one reason took.</summary>
    internal TimeSpan TimeOf(ExitReason reason) => Time((int)reason);

    /// <summary>Time in guest code.</summary>
    internal TimeSpan GuestTime => Time(Guest);

    /// <summary>Time asleep.</summary>
    internal TimeSpan IdleTime => Time(Idle);

    /// <summary>The monitor begins to do something that has a reason.</summary>
    internal void Enter(ExitReason reason)
    {
        if (_depth++ != 0)
        {
            Refine(reason);
            return;
        }

        _reason = reason;
        if (!IsTimed) return;
        _returnsToGuest |= _account == Guest;
        // What an engine did between leaving guest code and here belongs to the first reason that is announced.
        if (_isAnnounced) Charge((int)reason);
        else _account = (int)reason;
        _isAnnounced = true;
        _detail = 0;
    }

    /// <summary>What is being done has a more specific reason.</summary>
    internal void Refine(ExitReason reason)
    {
        if (reason > _reason) _reason = reason;
    }

    /// <summary>Details of the exit being dealt with, for its record.</summary>
    internal void Describe(ulong detail) => _detail = detail;

    /// <summary>Where the exit being dealt with happened, for its record.</summary>
    internal void At(ulong address) => _address = address;

    /// <summary>It is done.</summary>
    /// <param name="counts">False: it is a part of an exit that is counted elsewhere, such as an instruction whose fault is delivered next.</param>
    internal void Leave(bool counts = true)
    {
        if (--_depth != 0) return;
        _isAnnounced = counts;
        if (counts) _counts[(int)_reason]++;
        if (!IsTimed) return;
        _account = (int)_reason;
        if (!counts || !_returnsToGuest) return;
        _returnsToGuest = false;
        Charge(Guest);
    }

    /// <summary>An exit that takes no time worth mentioning.</summary>
    internal void Count(ExitReason reason)
    {
        Enter(reason);
        Leave();
    }

    /// <summary>Guest code runs from now on.</summary>
    internal void BeginGuest()
    {
        if (!_isAnnounced) _counts[(int)ExitReason.CodeLookup]++;
        _isAnnounced = true;
        if (IsTimed) Charge(Guest);
    }

    /// <summary>Guest code has come back.</summary>
    internal void EndGuest()
    {
        _isAnnounced = false;
        if (!IsTimed) return;
        Charge((int)ExitReason.CodeLookup);
        _detail = 0;
    }

    /// <summary>The engine has returned: what follows is neither guest code nor an exit.</summary>
    internal void EndRun()
    {
        // An exception of the monitor's may have come past a Leave.
        _depth = 0;
        _isAnnounced = true;
        _returnsToGuest = false;
        if (IsTimed) Charge(Nobody);
    }

    /// <summary>The processor sleeps from now on.</summary>
    internal void BeginIdle()
    {
        if (IsTimed) Charge(Idle);
    }

    /// <summary>It has woken.</summary>
    internal void EndIdle()
    {
        if (IsTimed) Charge(Nobody);
    }

    /// <summary>Nothing is counted until <see cref="Continue"/>: the processor is run to see what it would do.</summary>
    internal void Suspend() => _depth += 1 << 16;

    /// <summary>Ends <see cref="Suspend"/>.</summary>
    internal void Continue() => _depth -= 1 << 16;

    private TimeSpan Time(int account) => Stopwatch.GetElapsedTime(0, Volatile.Read(ref _ticks[account]));

    private void Charge(int next)
    {
        long now = Stopwatch.GetTimestamp();
        int account = _account;
        _ticks[account] += now - _since;
        if (Recorder is not null && account is not (Guest or Nobody))
        {
            bool isIdle = account == Idle;
            Recorder.Record(new ExitRecord(_since, now, isIdle ? ExitReason.Halt : (ExitReason)account, isIdle, _address, _detail));
        }

        _since = now;
        _account = next;
    }
}
