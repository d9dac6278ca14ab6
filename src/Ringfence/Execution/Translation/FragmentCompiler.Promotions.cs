using Iced.Intel;

namespace Ringfence.Execution.Translation;

/// <content>What a trace keeps in host registers: guest registers that live in the state elsewhere, and distances of windows.</content>
internal sealed unsafe partial class FragmentCompiler
{
    /// <summary>Finds host registers whose guest's own the loop does not use, for those of R12 to R15 that it does.</summary>
    private void PlanPromotions()
    {
        Array.Clear(_uses);
        for (int i = 0; i < _stepCount; i++)
        {
            foreach (UsedRegister used in _info.GetInfo(_steps[i].Instruction, InstructionInfoOptions.NoMemoryUsage).GetUsedRegisters())
                if (used.Register.IsGPR()) _uses[used.Register.GetFullRegister() - Register.RAX]++;
        }

        for (int free = 0; free < 12; free++)
        {
            if (_uses[free] != 0) continue;
            int wanted = MostUsed();
            if (wanted < 0) return;
            _promotions.Add(new Promotion(wanted, free == 4 ? Register.R12 : Register.RAX + free, free));
        }
    }

    /// <summary>The delta of a window that is not used leaves its register free, if nothing else needs it as scratch.</summary>
    private void PromoteToDelta(TracePlan plan)
    {
        foreach (ref TraceStep step in _steps.AsSpan(0, _stepCount))
            if (step.Access == TraceAccess.Tlb && (AccessesMemory(step.Instruction, step.Kind) || step.Kind is TranslationKind.Push or TranslationKind.Pop
                or TranslationKind.Leave or TranslationKind.Call or TranslationKind.Return or >= TranslationKind.LoadMxcsr)) return;
        int left = 0;
        for (int number = 12; number < 16; number++)
            if (_uses[number] != 0 && !_promotions.Exists(p => p.Guest == number)) left++;
        for (int window = 0; window < WindowMap.Count; window++)
        {
            // With one left in the state one scratch register is enough, R14; with more the second may be needed.
            if (plan.Uses(window) || left > 2) continue;
            int wanted = MostUsed();
            if (wanted < 0) return;
            _promotions.Add(new Promotion(wanted, DeltaRegister(window), -1));
            left--;
        }
    }

    private int MostUsed()
    {
        int best = -1;
        for (int number = 12; number < 16; number++)
        {
            if (_uses[number] < 2 || _promotions.Exists(p => p.Guest == number)) continue;
            if (best < 0 || _uses[number] > _uses[best]) best = number;
        }

        return best;
    }

    private void BeginPromotions()
    {
        for (int i = 0; i < _promotions.Count; i++)
        {
            Promotion promotion = _promotions[i];
            if (promotion.Lender >= 0) _main.Write(_code.Store(StateOffsets.Lent(i), promotion.Host));
            _main.Write(_code.Load(promotion.Host, StateOffsets.Gpr(promotion.Guest)));
            _promoted[promotion.Guest] = promotion.Host;
        }

        _promotionsBegun = true;
    }

    /// <summary>Puts promoted registers back to their places. Touches no flags.</summary>
    private void EndPromotions(CodeStream stream)
    {
        if (!_promotionsBegun) return;
        for (int i = 0; i < _promotions.Count; i++)
        {
            Promotion promotion = _promotions[i];
            stream.Write(_code.Store(StateOffsets.Gpr(promotion.Guest), promotion.Host));
            if (promotion.Lender >= 0) stream.Write(_code.Load(promotion.Host, StateOffsets.Lent(i)));
        }
    }

    private void NeedDelta(int window)
    {
        if (_deltaValid[window]) return;
        _main.Write(_code.LoadDelta[window]);
        _deltaValid[window] = true;
    }

    private void NeedDeltas(TracePlan plan)
    {
        for (int i = 0; i < WindowMap.Count; i++)
            if (plan.Uses(i)) NeedDelta(i);
    }

    /// <summary>Forgets deltas whose registers an instruction's ordinary translation uses.</summary>
    private void ForgetDeltas(in Instruction instruction, TranslationKind kind)
    {
        bool memory = AccessesMemory(instruction, kind) || kind is TranslationKind.Push or TranslationKind.Pop or TranslationKind.Leave
            or TranslationKind.Call or TranslationKind.CallIndirect or TranslationKind.Return or TranslationKind.JumpIndirect
            or >= TranslationKind.LoadMxcsr;
        bool address = kind == TranslationKind.AddressOf && (IsResidentRegister(instruction.MemoryBase) || IsResidentRegister(instruction.MemoryIndex));
        if (memory || address || _residentCount > 1) Array.Clear(_deltaValid);
    }
}
