using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Ringfence.Guests.Kernel;

/// <summary>
/// Page frames and address spaces. A free frame's first 8 bytes hold the address of the next free one; frames never used
/// lie above <c>_unused</c>. Each task has a PML4 table of its own: the lower half is its user space, the last entry the
/// kernel's, the same in all.
/// </summary>
internal sealed class Paging(KernelCode kernel) : KernelPart(kernel)
{
    private const ulong UserReadExecute = ProcessorTables.Present | ProcessorTables.User;
    private const ulong UserRead = UserReadExecute | ProcessorTables.NoExecute;
    private const ulong UserReadWrite = UserRead | ProcessorTables.Writable;
    private const ulong AddressMask = 0x000f_ffff_ffff_f000;
    private const int KernelEntry = 511 * 8;
    private const int LowerHalfEntries = 256;
    private readonly ulong _freeList = kernel.Zeroed.Reserve(8);
    private readonly ulong _unused = kernel.Zeroed.Reserve(8);

    public Routine InitializeFrames { get; } = kernel.Code.Routine("frames_initialize");

    /// <summary>Returns the physical address of a frame of zeros, or 0. Changes RCX, RDI.</summary>
    public Routine AllocateFrame { get; } = kernel.Code.Routine("frames_allocate");

    /// <summary>RDI: physical address of a frame. Changes RAX, RDI.</summary>
    public Routine FreeFrame { get; } = kernel.Code.Routine("frames_free");

    /// <summary>RDI: PML4 table, RSI: linear address, RDX: the page table entry. Returns 0, or -1 without memory.</summary>
    public Routine MapPage { get; } = kernel.Code.Routine("paging_map_page");

    /// <summary>
    /// RDI: PML4 table, RSI: linear address, RDX: the first page table entry, ECX: pages. Shared entries bring their
    /// frames, others get new ones. Returns 0 or -1, and in RDX the last entry.
    /// </summary>
    public Routine MapPages { get; } = kernel.Code.Routine("paging_map_pages");

    /// <summary>Returns the PML4 table of a new user space, or 0; in RDX the physical address of its first data page.</summary>
    public Routine CreateAddressSpace { get; } = kernel.Code.Routine("paging_create_address_space");

    /// <summary>RDI: a PML4 table not in use.</summary>
    public Routine DestroyAddressSpace { get; } = kernel.Code.Routine("paging_destroy_address_space");

    private Routine FreeTable { get; } = kernel.Code.Routine("paging_free_table");

    /// <inheritdoc/>
    public override void Emit()
    {
        Assembler a = Kernel.Assembler;
        EmitFrames(a);
        EmitMapPage(a);
        EmitMapPages(a);
        EmitCreate(a);
        EmitDestroy(a);
    }

    private void EmitFrames(Assembler a)
    {
        Label fresh = a.CreateLabel();
        Label clear = a.CreateLabel();
        Label none = a.CreateLabel();
        ulong counters = Kernel.SystemCalls.Counters;

        a.Here(InitializeFrames);
        a.mov(__qword_ptr[_unused], (int)MemoryMap.FramesPhysical);
        a.mov(rax, __qword_ptr[Kernel.Boot.MemoryEnd]);
        a.mov(__qword_ptr[counters + SystemRecord.Memory], rax);
        a.sub(rax, (int)MemoryMap.FramesPhysical);
        a.shr(rax, 12);
        a.mov(__qword_ptr[counters + SystemRecord.Frames], rax);
        a.mov(__qword_ptr[counters + SystemRecord.FreeFrames], rax);
        a.ret();

        a.Here(AllocateFrame);
        a.mov(rax, __qword_ptr[_freeList]);
        a.test(rax, rax);
        a.jz(fresh);
        a.mov(rcx, __qword_ptr[rax + MemoryMap.DirectMap]);
        a.mov(__qword_ptr[_freeList], rcx);
        a.jmp(clear);
        a.Here(ref fresh);
        a.mov(rax, __qword_ptr[_unused]);
        a.cmp(rax, __qword_ptr[Kernel.Boot.MemoryEnd]);
        a.jae(none);
        a.add(__qword_ptr[_unused], (int)MemoryMap.PageBytes);
        a.Here(ref clear);
        a.dec(__qword_ptr[counters + SystemRecord.FreeFrames]);
        a.push(rax);
        a.lea(rdi, __[rax + MemoryMap.DirectMap]);
        a.xor(eax, eax);
        a.mov(ecx, MemoryMap.PageBytes / 8);
        a.rep.stosq();
        a.pop(rax);
        a.ret();
        a.Here(ref none);
        a.xor(eax, eax);
        a.ret();

        a.Here(FreeFrame);
        a.mov(rax, __qword_ptr[_freeList]);
        a.mov(__qword_ptr[rdi + MemoryMap.DirectMap], rax);
        a.mov(__qword_ptr[_freeList], rdi);
        a.inc(__qword_ptr[counters + SystemRecord.FreeFrames]);
        a.ret();
    }

    /// <summary>
    /// Goes down the four levels (Intel SDM 3A 4.5.4) and makes the tables that are missing. The tables allow everything;
    /// the page's own entry decides. No TLB entry can exist for a page that was not present.
    /// </summary>
    private void EmitMapPage(Assembler a)
    {
        Label level = a.CreateLabel();
        Label have = a.CreateLabel();
        Label leaf = a.CreateLabel();
        Label done = a.CreateLabel();
        a.Here(MapPage);
        a.PushAll(rbx, rbp, r12, r13);
        a.lea(rbx, __[rdi + MemoryMap.DirectMap]);
        a.mov(rbp, rsi);
        a.mov(r12, rdx);
        a.mov(r13d, 39);
        a.Here(ref level);
        a.mov(ecx, r13d);
        a.mov(rax, rbp);
        a.shr(rax, cl);
        a.and(eax, 511);
        a.lea(rbx, __[rbx + (rax * 8)]);
        a.cmp(r13d, 12);
        a.je(leaf);
        a.mov(rax, __qword_ptr[rbx]);
        a.test(al, (int)ProcessorTables.Present);
        a.jnz(have);
        a.call(AllocateFrame);
        a.test(rax, rax);
        a.mov(ecx, -1);
        a.cmovz(eax, ecx);
        a.jz(done);
        a.or(rax, (int)(ProcessorTables.Present | ProcessorTables.Writable | ProcessorTables.User));
        a.mov(__qword_ptr[rbx], rax);
        a.Here(ref have);
        a.mov(rcx, AddressMask);
        a.and(rax, rcx);
        a.lea(rbx, __[rax + MemoryMap.DirectMap]);
        a.sub(r13d, 9);
        a.jmp(level);
        a.Here(ref leaf);
        a.mov(__qword_ptr[rbx], r12);
        a.xor(eax, eax);
        a.Here(ref done);
        a.PopAll(rbx, rbp, r12, r13);
        a.ret();
    }

    private void EmitMapPages(Assembler a)
    {
        Label next = a.CreateLabel();
        Label map = a.CreateLabel();
        Label fail = a.CreateLabel();
        Label done = a.CreateLabel();
        a.Here(MapPages);
        a.PushAll(rbx, rbp, r12, r13, r14);
        a.mov(rbx, rdi);
        a.mov(rbp, rsi);
        a.mov(r12, rdx);
        a.mov(r13d, ecx);
        a.Here(ref next);
        a.mov(r14, r12);
        a.test(r12d, (int)ProcessorTables.Shared);
        a.jnz(map);
        a.call(AllocateFrame);
        a.test(rax, rax);
        a.jz(fail);
        a.or(r14, rax);
        a.Here(ref map);
        a.mov(rdi, rbx);
        a.mov(rsi, rbp);
        a.mov(rdx, r14);
        a.call(MapPage);
        a.test(eax, eax);
        a.jnz(fail);
        a.add(rbp, (int)MemoryMap.PageBytes);
        a.test(r12d, (int)ProcessorTables.Shared);
        a.jz(a.F);
        a.add(r12, (int)MemoryMap.PageBytes);
        a.AnonymousLabel();
        a.dec(r13d);
        a.jnz(next);
        a.mov(rdx, r14);
        a.xor(eax, eax);
        a.jmp(done);
        a.Here(ref fail);
        a.mov(eax, -1);
        a.Here(ref done);
        a.PopAll(rbx, rbp, r12, r13, r14);
        a.ret();
    }

    private void EmitCreate(Assembler a)
    {
        Label fail = a.CreateLabel();
        Label done = a.CreateLabel();
        a.Here(CreateAddressSpace);
        a.PushAll(rbx, rbp);
        a.call(AllocateFrame);
        a.test(rax, rax);
        a.jz(done);
        a.mov(rbx, rax);
        a.mov(rax, __qword_ptr[Kernel.Processor.PageMap + KernelEntry]);
        a.mov(__qword_ptr[rbx + MemoryMap.DirectMap + KernelEntry], rax);
        EmitMap(a, fail, MemoryMap.UserData, UserReadWrite, 1);
        a.mov(rbp, rdx);
        EmitMap(a, fail, MemoryMap.UserData + MemoryMap.PageBytes, UserReadWrite, (int)MemoryMap.UserDataPages - 1);
        EmitMap(a, fail, MemoryMap.UserText, MemoryMap.UserTextPhysical | UserReadExecute | ProcessorTables.Shared, Kernel.UserTextPages);
        EmitMap(a, fail, MemoryMap.UserReadOnly, MemoryMap.UserReadOnlyPhysical | UserRead | ProcessorTables.Shared, Kernel.UserConstantsPages);
        ulong stack = MemoryMap.UserStackTop - (MemoryMap.UserStackPages * MemoryMap.PageBytes);
        EmitMap(a, fail, stack, UserReadWrite, (int)MemoryMap.UserStackPages);
        a.mov(rdx, AddressMask);
        a.and(rdx, rbp);
        a.mov(rax, rbx);
        a.Here(ref done);
        a.PopAll(rbx, rbp);
        a.ret();
        a.Here(ref fail);
        a.mov(rdi, rbx);
        a.call(DestroyAddressSpace);
        a.xor(eax, eax);
        a.jmp(done);
    }

    private void EmitMap(Assembler a, Label fail, ulong linear, ulong entry, int pages)
    {
        a.mov(rdi, rbx);
        a.mov(rsi, (long)linear);
        a.mov(rdx, (long)entry);
        a.mov(ecx, pages);
        a.call(MapPages);
        a.test(eax, eax);
        a.jnz(fail);
    }

    private void EmitDestroy(Assembler a)
    {
        Label next = a.CreateLabel();
        Label leaf = a.CreateLabel();
        Label skip = a.CreateLabel();
        a.Here(DestroyAddressSpace);
        a.mov(esi, 4);
        a.mov(edx, LowerHalfEntries);

        // RDI: a table of level ESI, of which EDX entries count. Frees what they point to, then the table.
        a.Here(FreeTable);
        a.PushAll(rbx, rbp, r12, r13);
        a.lea(rbx, __[rdi + MemoryMap.DirectMap]);
        a.mov(ebp, esi);
        a.xor(r12d, r12d);
        a.mov(r13d, edx);
        a.Here(ref next);
        a.mov(rdi, __qword_ptr[rbx + (r12 * 8)]);
        a.test(dil, (int)ProcessorTables.Present);
        a.jz(skip);
        a.test(edi, (int)ProcessorTables.Shared);
        a.jnz(skip);
        a.mov(rax, AddressMask);
        a.and(rdi, rax);
        a.cmp(ebp, 1);
        a.je(leaf);
        a.lea(esi, __[rbp - 1]);
        a.mov(edx, 512);
        a.call(FreeTable);
        a.jmp(skip);
        a.Here(ref leaf);
        a.call(FreeFrame);
        a.Here(ref skip);
        a.inc(r12d);
        a.cmp(r12d, r13d);
        a.jb(next);
        a.mov(rdi, MemoryMap.DirectMap);
        a.sub(rbx, rdi);
        a.mov(rdi, rbx);
        a.PopAll(rbx, rbp, r12, r13);
        a.jmp(FreeFrame);
    }
}
