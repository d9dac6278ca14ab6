using System.Globalization;
using System.Runtime.InteropServices;
using Ringfence.Execution;
using Ringfence.Execution.Translation;
using Ringfence.Processors;
using Ringfence.Processors.Instructions;

namespace Ringfence.Virtualizability.Model;

/// <summary>
/// Ringfence's processor as a machine to experiment on: each form runs by its one definition, the handler that every engine uses, on a real
/// <see cref="Processor"/> with page tables, descriptor tables and memory. A fault that an instruction raises is its trap, and is not delivered.
/// An instance is for one thread.
/// </summary>
internal sealed unsafe class ProcessorModel : IMachineModel, IDisposable
{
    private const int Processors = 2;

    private readonly AnalysisMode _mode;
    private readonly FormEncoder _encoder;
    private readonly List<ModelForm> _forms;
    private readonly EnvironmentCatalogue _catalogue;
    private readonly ModelElements _elements;
    private readonly ModelMemory _memory;
    private readonly ModelBus _bus = new();
    private readonly Processor[] _processors = new Processor[Processors];
    private readonly Place[] _places;
    private readonly SingleDecoder _decoder = new();
    private readonly Operation* _operation = (Operation*)NativeMemory.AlignedAlloc(2 * Operation.SizeInBytes, Operation.SizeInBytes);
    private (int Form, int Scenario) _decoded = (-1, -1);

    /// <summary>Makes the model of a mode.</summary>
    public ProcessorModel(AnalysisMode mode, bool umip)
    {
        _mode = mode;
        _encoder = new FormEncoder(mode);
        _forms = FormCatalogue.Create(mode);
        Forms = [.. _forms.Select(f => f.Form)];
        _catalogue = new EnvironmentCatalogue(mode);
        _elements = new ModelElements(mode);
        _memory = new ModelMemory(mode);
        for (int i = 0; i < Processors; i++) _processors[i] = new Processor(i, _memory.Ram, _bus);
        _places = [.. _catalogue.Settings.Select(settings => MakePlace(settings, umip))];
        Assumptions = ModelAssumptions.Of(mode, umip);
    }

    /// <inheritdoc/>
    public string Name => "Ringfence processor model";

    /// <inheritdoc/>
    public string Mode => _mode switch
    {
        AnalysisMode.Real => "real-address mode",
        AnalysisMode.Protected => "32-bit protected mode",
        AnalysisMode.Virtual8086 => "virtual-8086 mode",
        _ => "64-bit mode",
    };

    /// <inheritdoc/>
    public IReadOnlyList<string> Assumptions { get; }

    /// <inheritdoc/>
    public IReadOnlyList<MachineElement> Elements => _elements.Elements;

    /// <inheritdoc/>
    public IReadOnlyList<MachineEnvironment> Environments => _catalogue.Environments;

    /// <inheritdoc/>
    public IReadOnlyList<EnvironmentPair> Pairs => _catalogue.Pairs;

    /// <inheritdoc/>
    public IReadOnlyList<InstructionForm> Forms { get; }

    /// <summary>The forms with their operands, in the order of <see cref="Forms"/>.</summary>
    public IReadOnlyList<ModelForm> ModelForms => _forms;

    /// <summary>The environment of a program at privilege level 3 with nothing else changed; -1 if the mode has none.</summary>
    public int UserEnvironment => _mode == AnalysisMode.Real ? -1 : _catalogue.Settings.TakeWhile(s => s.Level != 3).Count();

    /// <summary>Size of the code in bits.</summary>
    public int Bits => _encoder.Bits;

    /// <inheritdoc/>
    public IReadOnlyList<OperandScenario> Scenarios(int form) => _forms[form].Scenarios;

    /// <inheritdoc/>
    public int Execute(int form, int scenario, int environment, Span<ulong> before, Span<ulong> after)
    {
        Place place = _places[environment];
        VcpuState* s = place.Processor.State;
        OperandState operands = _forms[form].States[scenario];
        Prepare(place, operands);
        if (_decoded != (form, scenario)) Decode(form, scenario);
        Read(place, before);
        s->CodeEntries = null;
        s->Gpr[VcpuState.PageSlot] = s->Rip - ModelLayout.CodeOffset;
        Operation* op = _operation;
        while (op is not null) op = op->Execute(place.Processor, s, op);
        if (s->FaultPending != 0) return s->FaultVector | (s->FaultHasErrorCode != 0 ? (int)(s->FaultErrorCode << 9) | 0x100 : 0);
        Read(place, after);
        return -1;
    }

    /// <inheritdoc/>
    public string TrapName(int trap)
    {
        string name = (ExceptionVector)(byte)trap switch
        {
            ExceptionVector.DivideError => "#DE",
            ExceptionVector.Debug => "#DB",
            ExceptionVector.BoundRange => "#BR",
            ExceptionVector.InvalidOpcode => "#UD",
            ExceptionVector.DeviceNotAvailable => "#NM",
            ExceptionVector.InvalidTss => "#TS",
            ExceptionVector.SegmentNotPresent => "#NP",
            ExceptionVector.StackFault => "#SS",
            ExceptionVector.GeneralProtection => "#GP",
            ExceptionVector.PageFault => "#PF",
            ExceptionVector.FloatingPoint => "#MF",
            ExceptionVector.AlignmentCheck => "#AC",
            ExceptionVector.SimdFloatingPoint => "#XM",
            _ => $"vector {(byte)trap}",
        };
        return (trap & 0x100) == 0 ? name : string.Create(CultureInfo.InvariantCulture, $"{name}({(trap >> 9 == 0 ? "0" : $"0x{trap >> 9:x}")})");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Place place in _places) place.State.Dispose();
        foreach (Processor processor in _processors) processor.Dispose();
        _memory.Dispose();
        NativeMemory.AlignedFree(_operation);
    }

    private Place MakePlace(EnvironmentSettings settings, bool umip)
    {
        Processor processor = _processors[settings.Processor];
        ModelState.Set(processor, _mode, umip, settings);
        var state = new StateCopy();
        state.Take(processor.State);
        return new Place(
            processor, state, ModelState.BusOf(settings), ModelState.RegionOf(_mode, settings),
            ModelTables.Descriptors(_mode, settings.SegmentBase, settings.HasChangedDescriptors));
    }

    private void Prepare(Place place, OperandState operands)
    {
        VcpuState* s = place.Processor.State;
        bool isOtherMap = s->Cr0 != place.State.State->Cr0 || s->Cr3 != place.State.State->Cr3 || s->Cr4 != place.State.State->Cr4
            || s->Efer != place.State.State->Efer;
        place.State.Restore(s);
        for (int i = 0; i < operands.General.Length; i++) s->Gpr[i] = operands.General[i];
        s->Rflags = (s->SystemFlags & ~RflagsBits.Status) | operands.Flags;
        s->FaultPending = 0;
        if (isOtherMap) place.Processor.Mmu.Flush();
        place.Processor.RefreshMode();
        _bus.State = place.Bus;
        _memory.Prepare(place.Region, place.Descriptors, operands);
    }

    private void Decode(int form, int scenario)
    {
        byte[] bytes = _forms[form].States[scenario].Bytes;
        fixed (byte* code = bytes)
        {
            int kind = _encoder.Bits switch { 64 => 2, 32 => 1, _ => 0 };
            if (!_decoder.TryDecode(code, bytes.Length, ModelLayout.CodeOffset, kind, _operation))
                throw new InvalidOperationException("An experiment's instruction is incomplete.");
        }

        _decoded = (form, scenario);
    }

    private void Read(Place place, Span<ulong> values) => _elements.Read(
        place.Processor.State, _bus.State, _memory.Data(place.Region), _memory.Stack(place.Region),
        _memory.Changes(place.Region, place.Descriptors), values);

    /// <summary>An environment, ready to run in.</summary>
    private sealed record Place(Processor Processor, StateCopy State, ModelBusState Bus, ModelRegion Region, byte[] Descriptors);
}
