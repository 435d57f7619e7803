"""What may be asked about tuning."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tunewright.recipe.base import Above, AtLeastOne, Auto, Share, Some, Spec


class TrainSpec(Spec):
    """How to tune. `auto` is resolved by method, model size and number of rows; `tunewright plan` shows to what."""

    method: Literal["lora", "qlora", "full"] = Field(
        "lora", description="LoRA adapter, LoRA adapter on the base in 4 bits, or all weights."
    )
    rank: Some | Auto = Field("auto", description="LoRA rank; auto: 16, of a very small base 64.")
    alpha: float | None = Field(None, gt=0, description="LoRA alpha; twice the rank by default.")
    dropout: float = Field(0.0, ge=0, lt=1, description="LoRA dropout.")
    target_modules: str | tuple[str, ...] = Field(
        "all-linear", description="Linear layers that get an adapter: a preset or names."
    )
    effective_batch_size: Some | Auto = Field(
        "auto", description="Examples per optimiser step; auto: 8 for a few hundred rows, 32 for thousands."
    )
    micro_batch_size: Some | Auto = Field("auto", description="Examples per forward pass; never changes a result.")
    max_length: int = Field(2048, ge=8, description="Tokens per example; longer ones are cut, and counted.")
    epochs: Above | Auto = Field(
        "auto",
        description="Passes over the training rows, in whole steps: one more pass fills the last.",
    )
    learning_rate: Above | Auto = Field("auto", description="Peak learning rate.")
    loraplus_lr_ratio: AtLeastOne | Auto = Field(
        "auto",
        description="LoRA+: rate of B over that of A; auto: 4 if the base is very small and the rate auto, else 1.",
    )
    adam_beta2: Share | Auto = Field(
        "auto",
        description="AdamW's β₂; auto: 0.95 if the base is very small and the rate auto, else 0.999.",
    )
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of steps in which the rate rises.")
    schedule: Literal["linear", "cosine", "constant"] = Field("linear", description="How the rate falls.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's decoupled weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    seed: int = Field(0, ge=0, description="Order of rows and start of the adapter.")
    checkpoints: int = Field(5, ge=1, description="How often the model is saved and scored in a run.")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="Compute type; auto probes.")
    activation_checkpointing: bool | Auto = Field(
        "auto", description="Compute layers again in the backward pass to save memory; auto: where it is needed."
    )
    dequantise: Literal["auto", "once", "each_pass"] = Field(
        "auto", description="QLoRA: read 4-bit weights back once (faster) or in each pass; auto: once where they fit."
    )
    init_from: str | None = Field(
        None,
        description="Warm start: an earlier run's id, or an adapter's folder; of the same base, rank and layers.",
    )

    @field_validator("init_from", mode="before")
    @classmethod
    def _a_name(cls, value: Any) -> Any:
        if isinstance(value, (int, float)):  # the end of a run's id may look like one
            raise ValueError("is read as a number: put the part of the run's id in quotes")
        return value

    @model_validator(mode="after")
    def _full_tuning_has_no_adapter(self) -> Self:
        if self.init_from and self.method == "full":
            raise ValueError("`init_from` is an adapter, and full tuning has none: start from `model: FOLDER` instead")
        if self.loraplus_lr_ratio not in ("auto", 1) and self.method == "full":
            raise ValueError(
                "`loraplus_lr_ratio` is about an adapter's matrices, and full tuning has none: leave it out"
            )
        return self
