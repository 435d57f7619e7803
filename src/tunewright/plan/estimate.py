"""Memory, time and price of the run that was asked for. Every figure is an estimate with an interval, and says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tunewright.plan.advice import advise
from tunewright.plan.circumstances import Circumstances, Figures
from tunewright.records import Advice, Footprint, Record

# A training step reaches this share of the plain matrix-product rate: small models lose more to Python and to
# attention. The interval below covers what was seen from the 3 M seedling to a 135 M model.
_EFFICIENCY = 0.35
_TIME_SPREAD = (0.4, 2.5)
# Seconds on a GPU whatever the size, measured on an H100 with the smallest base: kernels compiled, calls of a step.
_COMPILING, _CALLS = 30.0, 0.04
_MEMORY_SPREAD = (0.7, 1.5)
_RUNTIME_GB = 0.5


@dataclass(frozen=True)
class DataFacts:
    """What the plan needs to know of the data: rows that train, tokens per row (mean, longest).

    With `folds`, so many models are trained on a part of the rows and then one on all. `step_tokens` are those that a
    step computes, where rows share what they begin with (None: all tokens of its rows).
    """

    train: int
    mean_tokens: float
    longest: int
    folds: int = 0
    step_tokens: float | None = None

    def computed(self, batch: int) -> float:
        """Tokens that a step on `batch` rows computes."""
        return batch * self.mean_tokens if self.step_tokens is None else self.step_tokens


@dataclass(frozen=True)
class ModelFacts:
    """Shape of the base: `parameters`, and how many of them are `trainable`; `hidden`, `layers`, `intermediate` sizes.

    `weight_bytes` is what its weights take as they are held (None: 4 bytes each), `whole_bytes` what they take where
    none is in 4 bits; `read_back_bytes` what training holds beside them of weights in 4 bits, in the compute type.
    `active` are the weights that a token passes through (None: all): fewer in a mixture of experts.
    """

    parameters: int
    trainable: int
    hidden: int
    layers: int
    intermediate: int
    weight_bytes: int | None = None
    read_back_bytes: int = 0
    whole_bytes: int | None = None
    active: int | None = None


@dataclass(frozen=True)
class Machine:
    """`memory_gb` free where it computes, and its measured matrix-product rate in GFLOP/s, by precision."""

    device: str
    memory_gb: float
    rates: dict[str, float]


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
    hours = _hours(choice, data, model, machine)
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
    tokens = max(data.longest, min(4096, data.computed(choice["effective_batch_size"])))
    # Per token and layer: attention in and out, queries, keys, values, two norms, three MLP products; fp32.
    per_token = model.layers * (10 * model.hidden + 4 * model.intermediate) * 4
    if choice["activation_checkpointing"] is True:
        # Each layer's input, and one layer as a whole.
        per_token = 4 * model.layers * model.hidden + per_token // model.layers
    parts = {
        "weights": (4 * model.parameters if model.weight_bytes is None else model.weight_bytes) / billion,
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


def _hours(choice: dict[str, Any], data: DataFacts, model: ModelFacts, machine: Machine) -> dict[str, float]:
    """Training time from a step's products (6 FLOP per weight and token, 4 where frozen) at the rate measured here.

    What attention costs behind a long prefix is left to the interval.
    """
    # k folds of (k − 1) / k of the rows each, and then all rows: k times the work of one training.
    tokens = choice["steps"] * data.computed(choice["effective_batch_size"]) * max(1, data.folds)
    flop = (6 if choice["method"] == "full" else 4) * (model.active or model.parameters) * tokens
    rate = machine.rates.get(choice["precision"], 50.0) * 1e9
    seconds = flop / (rate * _EFFICIENCY)
    if machine.device == "cuda":
        seconds = _COMPILING + max(seconds, _CALLS * choice["steps"] * max(1, data.folds))
    expected = seconds / 3600
    low, high = _TIME_SPREAD
    return {"expected": round(expected, 5), "low": round(expected * low, 5), "high": round(expected * high, 5)}


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
    whole, held = (model.whole_bytes or 4 * model.parameters) / 1e9, (model.weight_bytes or 0) / 1e9
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
