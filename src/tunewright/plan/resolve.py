"""Every `auto` in the recipe becomes a number, by method, model size and amount of data."""

from __future__ import annotations

import math
from typing import Any

from tunewright.recipe import TrainSpec

# Fewer optimiser steps leave a LoRA, whose B matrices start at zero, short of what the same passes could teach: on 330
# rows, eleven passes in batches of 32 (114 steps) reached 77 % of the fields, of 16 91 %, of 8 94 %.
_FEWEST_STEPS = 300
_MOST_EPOCHS = 12
# Weights of a base so small that it has to learn more of a task itself: with 5.6 M weights and 371 rows ranks 16, 32
# and 64 reached 94, 98 and 99 % of the fields, each at its best rate (design/2026-11-26-a-seedling-from-a-gpu.md).
_SMALL = 50_000_000


def resolve(spec: TrainSpec, *, rows: int, parameters: int, precision: str) -> dict[str, Any]:
    """`spec` with nothing left open: `steps`, `epochs`, `rank`, `alpha`, `learning_rate`, `precision` and the rest.

    `rows` train, `parameters` are the base's weights; `precision` is what the machine computes fastest.
    """
    values = spec.model_dump()
    batch = spec.effective_batch_size if spec.effective_batch_size != "auto" else _batch(rows)
    values["effective_batch_size"] = batch
    per_epoch = max(1, math.ceil(rows / batch))
    epochs = spec.epochs if spec.epochs != "auto" else _epochs(per_epoch, parameters)
    values["epochs"] = epochs
    values["steps"] = max(1, math.ceil(rows * epochs / batch))
    rank = spec.rank if spec.rank != "auto" else 64 if parameters < _SMALL else 16
    values["rank"] = rank
    values["alpha"] = spec.alpha if spec.alpha is not None else 2.0 * rank
    # A rate that somebody gives is that of every matrix, and of the usual AdamW.
    quick = spec.learning_rate == "auto" and spec.method != "full" and parameters < _SMALL
    ratio = spec.loraplus_lr_ratio if spec.loraplus_lr_ratio != "auto" else 4.0 if quick else 1.0
    values["loraplus_lr_ratio"] = ratio
    if spec.adam_beta2 == "auto":
        values["adam_beta2"] = 0.95 if quick else 0.999
    if spec.learning_rate == "auto":
        values["learning_rate"] = learning_rate(spec.method, parameters, ratio)
    if spec.precision == "auto":
        values["precision"] = precision
    values["target_modules"] = (
        spec.target_modules if isinstance(spec.target_modules, str) else list(spec.target_modules)
    )
    if spec.init_from is None:
        del values["init_from"]
    return values


def learning_rate(method: str, parameters: int, ratio: float = 1.0) -> float:
    """Peak rate: for LoRA 2e-4 at 7 B weights rising as size to the power -0.355, which gives 3e-3 at 3.4 M.

    Both ends were measured (the 7 B one by many, the small one here); between them the rule interpolates. A base in 4
    bits changes nothing about it (Dettmers et al. 2023 use 2e-4 at 7 B too). Full tuning moves every weight and takes
    a tenth. Where B learns at `ratio` times this rate, it is lower: beside a ratio of 4, 0.6 of it was best
    (design/2026-11-26-lora-plus.md).
    """
    rate = min(3e-3, max(1e-4, 2e-4 * (7e9 / max(parameters, 1)) ** 0.355))
    rate = rate / 10 if method == "full" else rate * (0.6 if ratio > 1 else 1)
    digits = -math.floor(math.log10(rate)) + 1
    return float(round(rate, digits))


def _batch(rows: int) -> int:
    """Small sets need many small steps; large ones can afford steadier gradients."""
    return 8 if rows < 1_000 else 16 if rows < 4_000 else 32


def _epochs(steps_per_epoch: int, parameters: int) -> float:
    """Three passes; more where the rows are so few that three passes would barely be training."""
    few = math.ceil(_FEWEST_STEPS / steps_per_epoch)
    return float(min(_MOST_EPOCHS, max(4 if parameters < _SMALL else 3, few)))
