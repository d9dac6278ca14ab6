using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.UserMode;

/// <summary>The command <c>cpuid</c>: vendor, name, signature and features (Intel SDM 2A, CPUID). User mode may execute CPUID.</summary>
internal sealed class CpuidCommand(UserCode user) : UserPart(user)
{
    private const int Names = Shell.Buffer;
    private const int Results = Shell.Buffer + 0x80;
    private const int EntryBytes = 16;
    private const int Eax = 0, Ebx = 4, Ecx = 8, Edx = 12;

    /// <summary>Leaves whose feature bits are named; their results are stored one after the other.</summary>
    private static readonly uint[] Leaves = [1, 7, 0x8000_0001, 0x8000_0007];

    private static readonly (string Name, int Leaf, int Register, int Bit)[] Features =
    [
        ("fpu", 0, Edx, 0), ("vme", 0, Edx, 1), ("de", 0, Edx, 2), ("pse", 0, Edx, 3), ("tsc", 0, Edx, 4), ("msr", 0, Edx, 5),
        ("pae", 0, Edx, 6), ("mce", 0, Edx, 7), ("cx8", 0, Edx, 8), ("apic", 0, Edx, 9), ("sep", 0, Edx, 11), ("mtrr", 0, Edx, 12),
        ("pge", 0, Edx, 13), ("mca", 0, Edx, 14), ("cmov", 0, Edx, 15), ("pat", 0, Edx, 16), ("pse36", 0, Edx, 17),
        ("clfsh", 0, Edx, 19), ("mmx", 0, Edx, 23), ("fxsr", 0, Edx, 24), ("sse", 0, Edx, 25), ("sse2", 0, Edx, 26),
        ("htt", 0, Edx, 28), ("sse3", 0, Ecx, 0), ("pclmulqdq", 0, Ecx, 1), ("vmx", 0, Ecx, 5), ("ssse3", 0, Ecx, 9), ("fma", 0, Ecx, 12),
        ("cx16", 0, Ecx, 13), ("pcid", 0, Ecx, 17), ("sse4.1", 0, Ecx, 19), ("sse4.2", 0, Ecx, 20), ("x2apic", 0, Ecx, 21),
        ("movbe", 0, Ecx, 22), ("popcnt", 0, Ecx, 23), ("tsc-deadline", 0, Ecx, 24), ("aes", 0, Ecx, 25), ("xsave", 0, Ecx, 26),
        ("avx", 0, Ecx, 28), ("rdrand", 0, Ecx, 30), ("hypervisor", 0, Ecx, 31), ("fsgsbase", 1, Ebx, 0), ("bmi1", 1, Ebx, 3),
        ("avx2", 1, Ebx, 5), ("smep", 1, Ebx, 7), ("bmi2", 1, Ebx, 8), ("erms", 1, Ebx, 9), ("smap", 1, Ebx, 20), ("umip", 1, Ecx, 2),
        ("syscall", 2, Edx, 11), ("nx", 2, Edx, 20), ("1gb-pages", 2, Edx, 26), ("rdtscp", 2, Edx, 27), ("lm", 2, Edx, 29),
        ("lahf", 2, Ecx, 0), ("invariant-tsc", 3, Edx, 8),
    ];

    public Routine Command { get; } = user.Code.Routine("command_cpuid");

    private Routine QueryLeaf { get; } = user.Code.Routine("cpuid_query");

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = User.Assembler;
        a.Here(Command);
        a.PushAll(rbx, rbp, r12);
        EmitNames(a);
        EmitSignature(a);
        EmitFeatures(a);
        a.PopAll(rbx, rbp, r12);
        a.ret();
        EmitQuery(a);
    }

    private void EmitNames(Assembler a)
    {
        Label noBrand = a.CreateLabel();
        Label skipSpaces = a.CreateLabel();
        Label afterSpaces = a.CreateLabel();
        a.xor(eax, eax);
        a.cpuid();
        a.mov(__dword_ptr[Names], ebx);
        a.mov(__dword_ptr[Names + 4], edx);
        a.mov(__dword_ptr[Names + 8], ecx);
        a.mov(__byte_ptr[Names + 12], 0);
        Print("vendor     ");
        a.mov(edi, Names);
        a.call(User.Library.PutString);
        Print("\n");

        a.mov(eax, 0x8000_0000u);
        a.cpuid();
        a.cmp(eax, 0x8000_0004u);
        a.jb(noBrand);
        for (uint i = 0; i < 3; i++)
        {
            a.mov(eax, 0x8000_0002u + i);
            a.cpuid();
            int place = Names + ((int)i * 16);
            a.mov(__dword_ptr[place], eax);
            a.mov(__dword_ptr[place + 4], ebx);
            a.mov(__dword_ptr[place + 8], ecx);
            a.mov(__dword_ptr[place + 12], edx);
        }

        a.mov(__byte_ptr[Names + 48], 0);
        Print("name       ");
        a.mov(edi, Names);
        a.Here(ref skipSpaces);
        a.cmp(__byte_ptr[rdi], ' ');
        a.jne(afterSpaces);
        a.inc(edi);
        a.jmp(skipSpaces);
        a.Here(ref afterSpaces);
        a.call(User.Library.PutString);
        Print("\n");
        a.Here(ref noBrand);
        a.nop();
    }

    /// <summary>Family and model with their extended parts: model bits 16 to 19 count for families 6 and 15, family bits 20 to 27 for 15.</summary>
    private void EmitSignature(Assembler a)
    {
        Label plainFamily = a.CreateLabel();
        a.mov(eax, 1);
        a.cpuid();
        a.mov(ebp, eax);
        Print("signature  family ");
        a.mov(eax, ebp);
        a.shr(eax, 8);
        a.and(eax, 15);
        a.cmp(eax, 15);
        a.jne(plainFamily);
        a.mov(ecx, ebp);
        a.shr(ecx, 20);
        a.and(ecx, 0xff);
        a.add(eax, ecx);
        a.Here(ref plainFamily);
        PrintNumber();
        Print(", model ");
        a.mov(eax, ebp);
        a.shr(eax, 4);
        a.and(eax, 15);
        a.mov(ecx, ebp);
        a.shr(ecx, 12);
        a.and(ecx, 0xf0);
        a.or(eax, ecx);
        PrintNumber();
        Print(", stepping ");
        a.mov(eax, ebp);
        a.and(eax, 15);
        PrintNumber();
        Print("\n");
    }

    private void EmitFeatures(Assembler a)
    {
        DataSection constants = User.Code.Constants;
        ulong table = constants.Reserve(Features.Length * EntryBytes);
        for (int i = 0; i < Features.Length; i++)
        {
            (string name, int leaf, int register, int bit) = Features[i];
            ulong entry = table + (ulong)(i * EntryBytes);
            constants.WriteUInt64(entry, constants.Text(" " + name));
            constants.WriteUInt32(entry + 8, (uint)(Results + (leaf * 16) + register));
            constants.WriteUInt32(entry + 12, (uint)bit);
        }

        Label next = a.CreateLabel();
        Label absent = a.CreateLabel();
        for (int i = 0; i < Leaves.Length; i++)
        {
            a.mov(edi, Leaves[i]);
            a.mov(esi, Results + (i * 16));
            a.call(QueryLeaf);
        }

        Print("features  ");
        a.mov(ebp, (uint)table);
        a.mov(r12d, Features.Length);
        a.Here(ref next);
        a.mov(eax, __dword_ptr[rbp + 8]);
        a.mov(eax, __dword_ptr[rax]);
        a.mov(ecx, __dword_ptr[rbp + 12]);
        a.bt(eax, ecx);
        a.jnc(absent);
        a.mov(rdi, __qword_ptr[rbp]);
        a.call(User.Library.PutString);
        a.Here(ref absent);
        a.add(ebp, EntryBytes);
        a.dec(r12d);
        a.jnz(next);
        Print("\n");
    }

    /// <summary>EDI: leaf, ESI: where its four results go; zeros if the processor does not have the leaf.</summary>
    private void EmitQuery(Assembler a)
    {
        Label have = a.CreateLabel();
        Label store = a.CreateLabel();
        a.Here(QueryLeaf);
        a.push(rbx);
        a.mov(eax, edi);
        a.and(eax, 0x8000_0000u);
        a.cpuid();
        a.cmp(edi, eax);
        a.jbe(have);
        a.xor(eax, eax);
        a.xor(ebx, ebx);
        a.xor(ecx, ecx);
        a.xor(edx, edx);
        a.jmp(store);
        a.Here(ref have);
        a.mov(eax, edi);
        a.xor(ecx, ecx);
        a.cpuid();
        a.Here(ref store);
        a.mov(__dword_ptr[rsi + Eax], eax);
        a.mov(__dword_ptr[rsi + Ebx], ebx);
        a.mov(__dword_ptr[rsi + Ecx], ecx);
        a.mov(__dword_ptr[rsi + Edx], edx);
        a.pop(rbx);
        a.ret();
    }
}
