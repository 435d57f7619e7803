"""Memory, time and price of the run that was asked for. Every figure is an estimate with an interval, and says so."""

from __future__ import annotations

from typing import Any

from tunewright.plan.advice import advise
from tunewright.plan.circumstances import Circumstances, Figures
from tunewright.plan.duration import HIGH, LOW, seconds
from tunewright.plan.facts import DataFacts, Machine, ModelFacts
from tunewright.records import Advice, Footprint, Record

_MEMORY_SPREAD = (0.7, 1.5)
_RUNTIME_GB = 0.5


class Plan(Record):
    """Fits (surely) or not, memory in GB by part, hours, price; what was chosen and what not, and the advice.

    `heaviest` is the moment of training that the memory was counted at (`train.footprint` names them), and null where
    it could not be counted and is a rule of thumb.
    """

    fits: bool
    free_gb: float
    memory_gb: dict[str, float]
    heaviest: str | None
    hours: dict[str, float]
    price: dict[str, float | str]
    choice: dict[str, Any]
    rejected: tuple[dict[str, str], ...]
    serves: tuple[dict[str, Any], ...]
    advice: Advice
    basis: str = "estimated"


def make_plan(
    choice: dict[str, Any],
    data: DataFacts,
    model: ModelFacts,
    machine: Machine,
    known: Circumstances,
    counted: Footprint | None = None,
) -> Plan:
    """The plan for `choice` (the resolved training settings), with the advice on what else is `known`.

    Memory is what was `counted`, or a rule of thumb where nothing was.
    """
    memory = _memory(choice, data, model) if counted is None else _gigabytes(counted)
    hours = _hours(seconds(choice, data, model, machine, counted is None or counted.by_modules))
    price = _price(hours, known)
    figures = Figures(memory=memory, hours=hours, price=price, free_gb=machine.memory_gb)
    return Plan(
        fits=figures.fits is True,
        free_gb=round(machine.memory_gb, 3),
        memory_gb=memory,
        heaviest=None if counted is None else counted.moment,
        hours=hours,
        price=price,
        choice=choice,
        rejected=tuple(_rejected(choice, data, model)),
        serves=tuple(_serves(choice)),
        advice=advise(known, figures),
    )


def _price(hours: dict[str, float], known: Circumstances) -> dict[str, float | str]:
    """The hours at what an hour of the machine costs; a machine at hand charges nothing, unless a price is stated."""
    hour = known.machine_hour
    basis = "no price of an hour is stated (`decide.machine_hour`)" if hour is None else f"{hour:g} an hour"
    sums = {name: round(hours[name] * (hour or 0.0), 6) for name in ("expected", "low", "high")}
    return {**sums, "currency": known.currency, "basis": basis}


def _gigabytes(counted: Footprint) -> dict[str, float]:
    """The parts, their sum and its interval."""
    every = {**counted.parts, "total": counted.total, "low": counted.low, "high": counted.high}
    return {name: round(size / 1e9, 4) for name, size in every.items()}


def _memory(choice: dict[str, Any], data: DataFacts, model: ModelFacts) -> dict[str, float]:
    """GB by part: weights, gradients and AdamW's two moments of what trains, and a micro-batch's activations."""
    billion = 1e9
    trainable = model.parameters if choice["method"] == "full" else model.trainable
    tokens = max(data.longest, min(4096, data.step.tokens))
    # Per token and layer: attention in and out, queries, keys, values, two norms, three MLP products; fp32.
    per_token = model.layers * (10 * model.hidden + 4 * model.intermediate) * 4
    if choice["activation_checkpointing"] is True:
        # Each layer's input, and one layer as a whole.
        per_token = 4 * model.layers * model.hidden + per_token // model.layers
    parts = {
        "weights": model.weight_bytes / billion,
        "gradients": 4 * trainable / billion,
        "optimizer": 8 * trainable / billion,
        "activations": tokens * per_token / billion,
        "runtime": _RUNTIME_GB,
    }
    if choice["method"] == "qlora":
        parts["dequantised"] = model.read_back_bytes / billion
    total = sum(parts.values())
    low, high = _MEMORY_SPREAD
    rounded = {name: round(value, 4) for name, value in parts.items()}
    return {**rounded, "total": round(total, 3), "low": round(total * low, 3), "high": round(total * high, 3)}


def _hours(expected: float) -> dict[str, float]:
    """Hours of so many seconds, and their interval."""
    shares = {"expected": 1.0, "low": LOW, "high": HIGH}
    return {name: round(share * expected / 3600, 5) for name, share in shares.items()}


def _rejected(choice: dict[str, Any], data: DataFacts, model: ModelFacts) -> list[dict[str, str]]:
    share = 100 * model.trainable / model.parameters
    why_not_full = (
        f"{data.train:,} rows do not call for moving all {model.parameters:,} weights; LoRA trains {share:.1f} %"
        " as many and can be taken off again. Full tuning wants a LoRA run that fell short."
    )
    if choice["method"] == "full":
        why_not_packed = "weights in 4 bits cannot be trained themselves, and all weights were asked for."
        lora = {"option": "lora", "why": "full tuning was asked for."}
        return [lora, {"option": "qlora", "why": why_not_packed}]
    whole, held = model.whole_bytes / 1e9, model.weight_bytes / 1e9
    if choice["method"] == "qlora":
        other = ("lora", f"4 bits were asked for: {held:.2g} GB of weights instead of {whole:.2g} GB.")
    else:
        other = ("qlora", f"the base is taken whole, in {whole:.2g} GB; in 4 bits it would be a little less able.")
    return [{"option": other[0], "why": other[1]}, {"option": "full", "why": why_not_full}]


def _serves(choice: dict[str, Any]) -> list[dict[str, Any]]:
    """Which engine takes what `export` writes; `ok` None where it should and nobody has tried it here."""
    form = {
        "lora": "the adapter by PEFT, or the merged model",
        "qlora": "the adapter by PEFT on the base in 4 bits by bitsandbytes, or the merged model",
        "full": "the tuned model",
    }
    untried = "reads the merged model's files where it knows the base's architecture; not tried here."
    return [
        {"engine": "transformers", "ok": True, "why": f"loads {form[choice['method']]} as exported."},
        {"engine": "vllm", "ok": None, "why": untried},
        {"engine": "sglang", "ok": None, "why": untried},
        {"engine": "llama.cpp", "ok": False, "why": "takes GGUF files, and none are exported."},
    ]
