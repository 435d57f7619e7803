"""What a step computes, counted on the rows at hand: what shared prefixes spare it, and what it costs without them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch

from tunewright.layout import pack
from tunewright.plan import Plan, facts
from tunewright.records import Rendered, sequences
from tunewright.train import Settings

# Steps that are laid out to see what is shared: milliseconds each, and steps of the same rows are much alike.
_LOOKED = 8


def shares(model: Any, settings: Settings) -> bool:
    """Whether training will compute a prefix once for all rows of a step, as far as `model` tells before its probe."""
    if settings.method != "full" and settings.dropout:
        return False
    # What is drawn at random would be drawn once for all its rows.
    drops = any(isinstance(module, torch.nn.Dropout) and module.p > 0 for module in model.modules())
    drops = drops or (getattr(model.config.get_text_config(), "attention_dropout", None) or 0) > 0
    return not drops and bool(getattr(model, "_supports_attention_backend", False))


def step_work(rows: Sequence[Rendered], settings: Settings, room: int, share: bool) -> facts.StepWork:
    """What a step computes, the mean of a few that are drawn from `rows`, all of them or a sample.

    A forward pass holds `room` tokens; what rows of one pass begin with is computed once where they `share` it.
    """
    batch = settings.effective_batch_size
    draw, taken = random.Random(0), min(batch, len(rows))
    tokens = looked = predicted = 0
    for _ in range(_LOOKED):
        for part in settings.micro_batches(list(sequences(draw.sample(rows, taken)))):
            for each in pack(part, budget=room, share=share):
                tokens += each.tokens
                looked += int(each.positions.sum()) + each.tokens
                predicted += len(each.states)
    steps = taken * _LOOKED / batch
    return facts.StepWork(tokens / steps, looked / steps, predicted / steps)


def with_what_dropout_costs(plan: Plan, rows: Sequence[Rendered]) -> Plan:
    """`plan`, with shared prefixes among what was not chosen, and why, where dropout rules them out."""
    dropout, batch = plan.choice["dropout"], plan.choice["effective_batch_size"]
    if not dropout or plan.choice["method"] == "full":
        return plan
    steps = (list(sequences(rows[first : first + batch])) for first in range(0, len(rows), batch))
    tokens = sum(len(each.ids) for each in sequences(rows))
    shared = sum(part.tokens for step in steps for part in pack(step, budget=tokens, share=True))
    why = (
        f"a prefix would be dropped once for all its rows (dropout {dropout:g}), so each row computes its own: "
        f"{tokens / shared:.1f} times the tokens of a step. Nor is the decoder written out for dropout."
    )
    return plan.model_copy(update={"rejected": (*plan.rejected, {"option": "shared prefixes", "why": why})})
