"""AdamW over what is trained; with LoRA+ the B matrices move faster than the rest."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tunewright.train.settings import Settings


def adamw(named: Mapping[str, torch.nn.Parameter], settings: Settings) -> torch.optim.AdamW:
    """AdamW whose B matrices learn at `loraplus_lr_ratio` times the rate of everything else.

    LoRA+ (Hayou et al. 2024): A's and B's best rates differ, since B begins at zero and sees the width of its layer.
    """
    ratio = settings.loraplus_lr_ratio
    groups: dict[float, dict[str, torch.nn.Parameter]] = {}
    for name, parameter in named.items():
        groups.setdefault(ratio if ".lora_B." in name else 1.0, {})[name] = parameter
    return torch.optim.AdamW(
        [{"params": list(group.items()), "ratio": times} for times, group in groups.items()],
        lr=settings.learning_rate,
        betas=(0.9, settings.adam_beta2),
        weight_decay=settings.weight_decay,
        fused=True,
    )


def trained(optimizer: torch.optim.Optimizer) -> dict[str, torch.nn.Parameter]:
    """What `optimizer` moves, by name."""
    return {
        name: parameter
        for group in optimizer.param_groups
        for name, parameter in zip(group["param_names"], group["params"], strict=True)
    }


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let the next step be taken at the learning rate `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["ratio"]
