using System.Runtime.CompilerServices;
using Iced.Intel;

namespace Ringfence.Processors.Instructions.Integer;

/// <summary>A condition of Jcc, SETcc and CMOVcc (Intel SDM 1 appendix B).</summary>
internal unsafe interface ICondition
{
    /// <summary>Does the condition hold?</summary>
    static abstract bool Holds(VcpuState* s);
}

#pragma warning disable CS1591 // the sixteen conditions, by the manual's abbreviations
internal readonly unsafe struct IfO : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(VcpuState* s) => StatusFlags.Overflow(s);
}

internal readonly unsafe struct IfB : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(VcpuState* s) => StatusFlags.Carry(s);
}

internal readonly unsafe struct IfE : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(VcpuState* s) => StatusFlags.Zero(s);
}

internal readonly unsafe struct IfBe : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(VcpuState* s) => StatusFlags.Carry(s) | StatusFlags.Zero(s);
}

internal readonly unsafe struct IfS : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(VcpuState* s) => StatusFlags.Sign(s);
}

internal readonly unsafe struct IfP : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(VcpuState* s) => StatusFlags.Parity(s);
}

internal readonly unsafe struct IfL : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(VcpuState* s) => StatusFlags.Sign(s) != StatusFlags.Overflow(s);
}

internal readonly unsafe struct IfLe : ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(VcpuState* s) => StatusFlags.Zero(s) | (StatusFlags.Sign(s) != StatusFlags.Overflow(s));
}

internal readonly unsafe struct Not<TCondition> : ICondition
    where TCondition : struct, ICondition
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Holds(VcpuState* s) => !TCondition.Holds(s);
}
#pragma warning restore CS1591

/// <summary>Makes the handler of a conditional instruction for a condition.</summary>
internal unsafe interface IConditionalHandler
{
    /// <summary>The handler specialized for <typeparamref name="TCondition"/>.</summary>
    static abstract Handler For<TCondition>()
        where TCondition : struct, ICondition;
}

/// <summary>From a condition code to a specialized handler.</summary>
internal static unsafe class Conditions
{
    /// <summary>Asks <typeparamref name="TMaker"/> for the handler of <paramref name="code"/>.</summary>
    public static Handler Select<TMaker>(ConditionCode code)
        where TMaker : struct, IConditionalHandler => code switch
        {
            ConditionCode.o => TMaker.For<IfO>(),
            ConditionCode.no => TMaker.For<Not<IfO>>(),
            ConditionCode.b => TMaker.For<IfB>(),
            ConditionCode.ae => TMaker.For<Not<IfB>>(),
            ConditionCode.e => TMaker.For<IfE>(),
            ConditionCode.ne => TMaker.For<Not<IfE>>(),
            ConditionCode.be => TMaker.For<IfBe>(),
            ConditionCode.a => TMaker.For<Not<IfBe>>(),
            ConditionCode.s => TMaker.For<IfS>(),
            ConditionCode.ns => TMaker.For<Not<IfS>>(),
            ConditionCode.p => TMaker.For<IfP>(),
            ConditionCode.np => TMaker.For<Not<IfP>>(),
            ConditionCode.l => TMaker.For<IfL>(),
            ConditionCode.ge => TMaker.For<Not<IfL>>(),
            ConditionCode.le => TMaker.For<IfLe>(),
            _ => TMaker.For<Not<IfLe>>(),
        };
}
