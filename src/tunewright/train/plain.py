"""The plain twin: what a training run computes, with nothing to make it fast.

Each example is a forward pass of its own through the model's own modules: no packing, no sharing, no fused products,
no checkpoints. `fit` is tested for equal losses against it. Read this to know what is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from tunewright.records import Rendered
from tunewright.train.adapters import prepare, trainable
from tunewright.train.optimizer import adamw, set_rate
from tunewright.train.order import learning_rate, step_sequences, total_steps
from tunewright.train.settings import Settings


def fit_plainly(model: Any, train: Sequence[Rendered], settings: Settings) -> list[float]:
    """Tune `model` in place, in float32; the loss of every step."""
    torch.manual_seed(settings.seed)
    model = prepare(model, settings).train()
    parameters = trainable(model)
    optimizer = adamw(parameters, settings)
    total = total_steps(len(train), settings)
    losses = []
    for step in range(total):
        losses.append(gradients(model, step_sequences(step, train, settings)))
        torch.nn.utils.clip_grad_norm_(parameters.values(), settings.max_grad_norm)
        set_rate(optimizer, learning_rate(step, total, settings))
        optimizer.step()
        optimizer.zero_grad()
    return losses


def gradients(model: Any, examples: Sequence[Rendered]) -> float:
    """Add the gradients of the examples' mean loss per weight to the parameters; gives that loss."""
    weight = sum(sum(example.weights) for example in examples)
    total = 0.0
    for example in examples:
        ids = torch.tensor([example.ids], device=model.device)
        logits = model(input_ids=ids, use_cache=False).logits[0, :-1]
        losses = F.cross_entropy(logits.float(), ids[0, 1:], reduction="none")
        loss = (losses * torch.tensor(example.weights[1:], device=model.device)).sum() / weight
        loss.backward()
        total += float(loss.detach())
    return total
