"""What a run is told, fully resolved, and what it reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from tunewright.records import Record, Rendered


class Settings(Record):
    """Every choice of a training run, none left open but the size of a forward pass, which changes no result.

    `init_from` is the folder of the adapter that training starts from, `init_sha256` the digest that stands for it:
    where it lies is not written into checkpoints, so that a project may be moved.
    """

    method: Literal["lora", "qlora", "full"] = "lora"
    rank: int = Field(16, ge=1)
    alpha: float = Field(32.0, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: str | tuple[str, ...] = "all-linear"
    effective_batch_size: int = Field(32, ge=1)
    micro_batch_size: int | Literal["auto"] = "auto"
    micro_batch_tokens: int | Literal["auto"] = "auto"
    epochs: float = Field(3.0, gt=0)
    steps: int | None = Field(None, ge=1)
    learning_rate: float = Field(2e-4, gt=0)
    loraplus_lr_ratio: float = Field(1.0, ge=1)
    adam_beta2: float = Field(0.999, gt=0, lt=1)
    warmup: float = Field(0.05, ge=0, lt=1)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    seed: int = 0
    checkpoints: int = Field(5, ge=1)
    precision: Literal["float32", "bfloat16"] = "float32"
    share: bool = True
    activation_checkpointing: bool | Literal["auto"] = "auto"
    dequantise: Literal["auto", "once", "each_pass"] = "auto"
    init_from: str | None = Field(None, exclude=True)
    init_sha256: str | None = None

    def micro_batches(self, rows: Sequence[Rendered]) -> list[Sequence[Rendered]]:
        """`rows` as forward passes take them at most: so many as `micro_batch_size` says, or all at once."""
        size = len(rows) if self.micro_batch_size == "auto" else self.micro_batch_size
        return [rows[first : first + size] for first in range(0, len(rows), max(size, 1))]


@dataclass(frozen=True)
class FitResult:
    """How training ended. `model` is the tuned model with the best checkpoint's weights, in evaluation mode.

    `best` and `last` are checkpoint folders; losses are per supervised weight; `train_loss` is the mean over the last
    tenth of the steps. `tokens_per_second` counts the examples' own tokens, shared or not; `peak_gb` is the peak
    memory of the process (of the device, on a GPU).
    """

    model: Any
    steps: int
    best_step: int
    best: Path
    last: Path
    train_loss: float
    validation_loss: float | None
    validation_score: float | None
    trainable_parameters: int
    tokens_per_second: float
    peak_gb: float
    seconds: float
