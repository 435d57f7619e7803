"""What it costs that under dropout no prefix is shared, counted on the rows at hand."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.layout import pack
from tunewright.plan import Plan
from tunewright.records import Rendered


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
