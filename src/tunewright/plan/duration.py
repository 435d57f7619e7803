"""How long a training takes: the products of its steps at the rate measured here, and what lies between them.

What the numbers below were fitted to, and how far off they are, is measured by `benchmarks/duration.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewright.plan.facts import DataFacts, Machine, Measuring, ModelFacts, StepWork

# Large products run at this share of the rate that one of them alone has.
_SHARE = 0.6
# A token that is looked back at costs each layer so many operations a feature, forward and backward: it is twelve, and
# such short products run at half of the rate.
_LOOK = 24
# Times as long, where the model's own modules compute adapters.
_BY_MODULES = 1.5
# Seconds that a layer takes in a step, and in a token of an answer, however small it is.
_LAYER, _ANSWERING = 0.013, 0.002
# Before the first step, ways to compute are tried: so many seconds, and as long as so many steps.
_TRIALS, _TRIED = 2.5, 0.5
# The share of a step that only looks at the loss.
_FORWARD = 0.5
# Seconds on a GPU whatever the size, measured on an H100 with the smallest base: kernels compiled, calls of a step.
_COMPILING, _CALLS = 30.0, 0.04
# What it really takes lies between these shares of what is expected.
LOW, HIGH = 0.6, 2.0


def seconds(choice: Mapping[str, Any], data: DataFacts, model: ModelFacts, machine: Machine, by_modules: bool) -> float:
    """Expected seconds of the whole training under `choice`; `by_modules`: the model's own modules compute adapters."""
    rate = 1e9 * machine.rate * _SHARE / (_BY_MODULES if by_modules else 1.0)
    products = _operations(choice, data.step, model) / rate
    if machine.device == "cuda":
        each = max(products, _CALLS)
        total = _COMPILING + choice["steps"] * each
    else:
        each = products + _LAYER * model.layers
        total = (_TRIED + choice["steps"]) * each + _TRIALS
    if data.measuring is not None:
        total += min(choice["checkpoints"], choice["steps"]) * _measured(choice, data.measuring, model, rate)
    # k folds of (k − 1) / k of the rows each, and then all rows: k times the work of one training.
    return float(total * max(1, data.folds))


def _measured(choice: Mapping[str, Any], measuring: Measuring, model: ModelFacts, rate: float) -> float:
    """Seconds of measuring once."""
    token = measuring.cases * 2 * (model.body + model.head) / rate + _ANSWERING * model.layers
    return _FORWARD * _operations(choice, measuring.loss, model) / rate + measuring.tokens * token


def _operations(choice: Mapping[str, Any], work: StepWork, model: ModelFacts) -> float:
    """Of a step's products: two per weight and token forward, two for what goes back, two more for what learns."""
    full = choice["method"] == "full"
    again = 2 if choice["activation_checkpointing"] is True else 0
    back = 6 if full else 4
    weights = (back + again) * model.body + (0 if full else (6 + again) * model.trainable)
    looked = _LOOK * work.looked * model.features * model.layers
    return work.tokens * weights + looked + work.predicted * back * model.head
