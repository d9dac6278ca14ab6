using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.UserMode;

/// <summary>Small programs, each a task of its own. All get their command line in RDI.</summary>
internal sealed class Programs : UserPart
{
    private const int DefaultPrimes = 100_000, DefaultTerms = 1_000_000, DefaultCalls = 100_000;
    private const int PiDecimals = 9;
    private readonly List<(string Name, Action<Assembler> Emit)> _programs;

    public Programs(UserCode user)
        : base(user)
    {
        _programs = [("primes", EmitPrimes), ("pi", EmitPi), ("sleep", EmitSleep), ("spin", EmitSpin), ("calls", EmitCalls), ("pointers", EmitPointers)];
        All = [.. _programs.Select(program => (program.Name, user.Code.Routine("program_" + program.Name)))];
    }

    /// <summary>Names with entries.</summary>
    public (string Name, Routine Handler)[] All { get; }

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = User.Assembler;
        for (int i = 0; i < All.Length; i++)
        {
            a.Here(All[i].Handler);
            _programs[i].Emit(a);
            Exit(0);
        }
    }

    /// <summary>Emits: the number after the program's name in R12, or a default.</summary>
    private void ParseArgument(Assembler a, int defaultValue)
    {
        Label given = a.CreateLabel();
        a.call(User.Library.NextWord);
        a.mov(rdi, rax);
        a.call(User.Library.ParseNumber);
        a.test(edx, edx);
        a.jnz(given);
        a.mov(eax, defaultValue);
        a.Here(ref given);
        a.mov(r12, rax);
    }

    private void StartWatch(Assembler a)
    {
        SystemCall(SystemCallNumber.Uptime);
        a.mov(r13, rax);
    }

    private void StopWatch(Assembler a)
    {
        SystemCall(SystemCallNumber.Uptime);
        a.sub(rax, r13);
        a.mov(r13, rax);
    }

    private void EmitPrimes(Assembler a)
    {
        Routine isPrime = User.Code.Routine("is_prime");
        Label next = a.CreateLabel();
        Label done = a.CreateLabel();
        ParseArgument(a, DefaultPrimes);
        a.mov(eax, int.MaxValue);
        a.cmp(r12, rax);
        a.cmova(r12, rax);
        StartWatch(a);
        a.xor(ebp, ebp);
        a.mov(ebx, 2);
        a.Here(ref next);
        a.cmp(ebx, r12d);
        a.jge(done);
        a.mov(edi, ebx);
        a.call(isPrime);
        a.add(ebp, eax);
        a.inc(ebx);
        a.jmp(next);
        a.Here(ref done);
        StopWatch(a);
        a.mov(eax, ebp);
        PrintNumber();
        Print(" primes below ");
        a.mov(rax, r12);
        PrintNumber();
        Print(" in ");
        a.mov(rdi, r13);
        a.call(User.Library.PutSeconds);
        Print(" s\n");
        Exit(0);
        EmitIsPrime(a, isPrime);
    }

    /// <summary>EDI: a number from 2 on. Returns 1 if it is prime, by trial division: the classic first program of binary translators.</summary>
    private static void EmitIsPrime(Assembler a, Routine isPrime)
    {
        Label next = a.CreateLabel();
        Label prime = a.CreateLabel();
        Label notPrime = a.CreateLabel();
        a.Here(isPrime);
        a.mov(ecx, edi);
        a.mov(esi, 2);
        a.cmp(esi, ecx);
        a.jge(prime);
        a.Here(ref next);
        a.mov(eax, ecx);
        a.cdq();
        a.idiv(esi);
        a.test(edx, edx);
        a.jz(notPrime);
        a.inc(esi);
        a.cmp(esi, ecx);
        a.jl(next);
        a.Here(ref prime);
        a.mov(eax, 1);
        a.ret();
        a.Here(ref notPrime);
        a.xor(eax, eax);
        a.ret();
    }

    /// <summary>Nilakantha's series: 3 + 4/(2*3*4) - 4/(4*5*6) + ...</summary>
    private void EmitPi(Assembler a)
    {
        Label next = a.CreateLabel();
        Label done = a.CreateLabel();
        DataSection constants = User.Code.Constants;
        AssemblerMemoryOperand Constant(double value) => __qword_ptr[constants.UInt64(BitConverter.DoubleToUInt64Bits(value))];

        ParseArgument(a, DefaultTerms);
        StartWatch(a);
        a.movsd(xmm0, Constant(3)); // sum
        a.movsd(xmm1, Constant(4)); // numerator
        a.movsd(xmm2, Constant(2)); // first factor
        a.movsd(xmm3, Constant(1));
        a.movsd(xmm4, Constant(2));
        a.xorps(xmm6, xmm6);
        a.mov(rbx, r12);
        a.Here(ref next);
        a.sub(rbx, 1);
        a.jb(done);
        a.movapd(xmm5, xmm2);
        a.addsd(xmm2, xmm3);
        a.mulsd(xmm5, xmm2);
        a.addsd(xmm2, xmm3);
        a.mulsd(xmm5, xmm2);
        a.movapd(xmm7, xmm1);
        a.divsd(xmm7, xmm5);
        a.addsd(xmm0, xmm7);
        a.movapd(xmm7, xmm6);
        a.subsd(xmm7, xmm1);
        a.movapd(xmm1, xmm7);
        a.jmp(next);
        a.Here(ref done);
        a.mulsd(xmm0, Constant(Math.Pow(10, PiDecimals)));
        a.cvtsd2si(rbx, xmm0);
        StopWatch(a);
        a.mov(rax, rbx);
        a.xor(edx, edx);
        a.mov(ecx, (int)Math.Pow(10, PiDecimals));
        a.div(rcx);
        a.mov(ebx, edx);
        Print("pi is about ");
        a.mov(eax, 3);
        PrintNumber();
        Print(".");
        a.mov(edi, ebx);
        a.mov(esi, PiDecimals);
        a.mov(edx, '0');
        a.call(User.Library.PutPadded);
        Print(" in ");
        a.mov(rdi, r13);
        a.call(User.Library.PutSeconds);
        Print(" s\n");
    }

    /// <summary>Seconds with up to three decimals.</summary>
    private void EmitSleep(Assembler a)
    {
        Label bad = a.CreateLabel();
        Label scale = a.CreateLabel();
        Label go = a.CreateLabel();
        Label scaleNext = a.CreateLabel();
        a.call(User.Library.NextWord);
        a.mov(rdi, rax);
        a.call(User.Library.ParseNumber);
        a.test(edx, edx);
        a.jz(bad);
        a.imul(rbx, rax, 1000);
        a.cmp(__byte_ptr[rdi], '.');
        a.jne(go);
        a.inc(rdi);
        a.call(User.Library.ParseNumber);
        a.cmp(edx, 3);
        a.ja(bad);
        a.Here(ref scale);
        a.cmp(edx, 3);
        a.jae(scaleNext);
        a.imul(rax, rax, 10);
        a.inc(edx);
        a.jmp(scale);
        a.Here(ref scaleNext);
        a.add(rbx, rax);
        a.Here(ref go);
        StartWatch(a);
        a.mov(rdi, rbx);
        SystemCall(SystemCallNumber.Sleep);
        StopWatch(a);
        Print("slept ");
        a.mov(rdi, r13);
        a.call(User.Library.PutSeconds);
        Print(" s\n");
        Exit(0);
        a.Here(ref bad);
        Print("usage: sleep SECONDS, for example sleep 1.5\n");
        Exit(1);
    }

    private void EmitSpin(Assembler a)
    {
        Label forever = a.CreateLabel();
        Print("spinning; end me with Ctrl-C\n");
        a.Here(ref forever);
        a.inc(rax);
        a.jmp(forever);
    }

    private void EmitCalls(Assembler a)
    {
        Label next = a.CreateLabel();
        Label none = a.CreateLabel();
        ParseArgument(a, DefaultCalls);
        a.test(r12, r12);
        a.jz(none);
        StartWatch(a);
        a.mov(rbx, r12);
        a.Here(ref next);
        SystemCall(SystemCallNumber.Preemptions);
        a.dec(rbx);
        a.jnz(next);
        StopWatch(a);
        a.mov(rax, r12);
        PrintNumber();
        Print(" system calls in ");
        a.mov(rdi, r13);
        a.call(User.Library.PutSeconds);
        Print(" s, ");
        a.imul(rax, r13, 1000);
        a.xor(edx, edx);
        a.div(r12);
        PrintNumber();
        Print(" ns each\n");
        a.Here(ref none);
        a.nop();
    }

    /// <summary>The kernel must refuse what is not the user's, not there, or not writable, and survive it.</summary>
    private void EmitPointers(Assembler a)
    {
        (SystemCallNumber Call, ulong Pointer)[] bad =
        [
            (SystemCallNumber.Write, 0), (SystemCallNumber.Write, MemoryMap.KernelBase + MemoryMap.DataPhysical),
            (SystemCallNumber.Write, MemoryMap.UserLimit), (SystemCallNumber.Write, ulong.MaxValue),
            (SystemCallNumber.Write, 1UL << 63), (SystemCallNumber.Information, 0), (SystemCallNumber.Information, MemoryMap.UserText),
            (SystemCallNumber.Information, MemoryMap.KernelBase + MemoryMap.DataPhysical),
        ];
        a.xor(ebx, ebx);
        foreach ((SystemCallNumber call, ulong pointer) in bad)
        {
            a.mov(rdi, pointer);
            a.mov(esi, 1);
            SystemCall(call);
            a.shr(rax, 63);
            a.add(ebx, eax);
        }

        a.mov(eax, ebx);
        PrintNumber();
        Print($" of {bad.Length} bad pointers refused\n");
    }
}
