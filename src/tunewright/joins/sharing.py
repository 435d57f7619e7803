"""What shared prefixes spare a step, counted on the rows at hand, and what it costs that dropout rules them out."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from tunewright.layout import pack
from tunewright.plan import Plan
from tunewright.records import Rendered

# Steps that are laid out to see what is shared: milliseconds each, and steps of the same rows are much alike.
_LOOKED = 8


def shares(model: Any, choice: Mapping[str, Any]) -> bool:
    """Whether training will compute a prefix once for all rows of a step, as far as `model` tells before its probe."""
    if choice["method"] != "full" and choice["dropout"]:
        return False
    # What is drawn at random would be drawn once for all its rows.
    drops = any(isinstance(module, torch.nn.Dropout) and module.p > 0 for module in model.modules())
    drops = drops or (getattr(model.config.get_text_config(), "attention_dropout", None) or 0) > 0
    return not drops and bool(getattr(model, "_supports_attention_backend", False))


def step_tokens(rows: Sequence[Rendered], choice: Mapping[str, Any], room: int, share: bool) -> float:
    """Tokens that a step computes, the mean of a few that are drawn from `rows`, all of them or a sample.

    A forward pass holds `room` tokens; what rows of one pass begin with is computed once where they `share` it.
    """
    batch: int = choice["effective_batch_size"]
    size, taken = choice["micro_batch_size"], min(batch, len(rows))
    draw, total = random.Random(0), 0
    for _ in range(_LOOKED):
        step = draw.sample(rows, taken)
        parts = [step] if size == "auto" else [step[first : first + size] for first in range(0, taken, size)]
        total += sum(each.tokens for part in parts for each in pack(part, budget=room, share=share))
    return total * batch / (taken * _LOOKED)


def with_what_dropout_costs(plan: Plan, rows: Sequence[Rendered]) -> Plan:
    """`plan`, with shared prefixes among what was not chosen, and why, where dropout rules them out."""
    dropout, batch = plan.choice["dropout"], plan.choice["effective_batch_size"]
    if not dropout or plan.choice["method"] == "full":
        return plan
    steps = [rows[first : first + batch] for first in range(0, len(rows), batch)]
    tokens = sum(len(row.ids) for row in rows)
    shared = sum(part.tokens for step in steps for part in pack(step, budget=tokens, share=True))
    why = (
        f"a prefix would be dropped once for all its rows (dropout {dropout:g}), so each row computes its own: "
        f"{tokens / shared:.1f} times the tokens of a step. Nor is the decoder written out for dropout."
    )
    return plan.model_copy(update={"rejected": (*plan.rejected, {"option": "shared prefixes", "why": why})})
