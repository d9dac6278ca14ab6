namespace Ringfence.Execution.Translation;

/// <summary>How a guest instruction is translated.</summary>
internal enum TranslationKind : byte
{
    /// <summary>The shared definition of the instruction runs, outside translated code.</summary>
    CallOut,

    /// <summary>Copied; registers that live elsewhere are renamed, a memory operand is re-encoded for the guest's address space.</summary>
    Ident,

    /// <summary>As <see cref="Ident"/>, but the instruction itself may fault (DIV, IDIV).</summary>
    IdentThatFaults,

    /// <summary>As <see cref="Ident"/>, on XMM registers.</summary>
    Simd,

    /// <summary>As <see cref="IdentThatFaults"/>, on x87 or MMX registers.</summary>
    X87,

    /// <summary>LEA: address arithmetic without an access.</summary>
    AddressOf,

    /// <summary>Nothing to do.</summary>
    NoOperation,

    /// <summary>Conditional branch.</summary>
    ConditionalJump,

    /// <summary>JCXZ, JECXZ, JRCXZ and LOOP.</summary>
    CounterJump,

    /// <summary>Direct JMP.</summary>
    Jump,

    /// <summary>JMP through a register or memory.</summary>
    JumpIndirect,

    /// <summary>Direct CALL.</summary>
    Call,

    /// <summary>CALL through a register or memory.</summary>
    CallIndirect,

    /// <summary>Near RET.</summary>
    Return,

    /// <summary>PUSH of a register, an immediate or memory.</summary>
    Push,

    /// <summary>POP to a register.</summary>
    Pop,

    /// <summary>LEAVE.</summary>
    Leave,

    /// <summary>CLI: the virtual interrupt flag becomes 0.</summary>
    ClearInterrupts,

    /// <summary>STI: the virtual interrupt flag becomes 1.</summary>
    SetInterrupts,

    // From here on: FragmentCompiler.IsInPlace says in which modes; otherwise call-outs.

    /// <summary>LDMXCSR.</summary>
    LoadMxcsr,

    /// <summary>PUSHF.</summary>
    PushFlags,

    /// <summary>POPF.</summary>
    PopFlags,

    /// <summary>CLD.</summary>
    ClearDirection,

    /// <summary>STD.</summary>
    SetDirection,

    /// <summary>SWAPGS.</summary>
    SwapGs,

    /// <summary>RDFSBASE and RDGSBASE.</summary>
    ReadBase,

    /// <summary>WRFSBASE and WRGSBASE.</summary>
    WriteBase,

    /// <summary>CLAC.</summary>
    ClearAccess,

    /// <summary>STAC.</summary>
    SetAccess,

    /// <summary>MOV from a control register.</summary>
    ReadControl,

    /// <summary>MOV from a segment register.</summary>
    ReadSelector,

    /// <summary>PUSH of a segment register.</summary>
    PushSelector,

    /// <summary>An <see cref="Ident"/> instruction with AH, BH, CH or DH and memory, which the host cannot encode together.</summary>
    HighByte,

    /// <summary>BT, BTS, BTR and BTC of memory with a bit offset in a register.</summary>
    BitString,

    /// <summary>MOVS, STOS, LODS, SCAS and CMPS.</summary>
    String,
}
