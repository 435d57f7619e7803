"""What a run has to say of how it was trained, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewright.project import RunFolder
from tunewright.store import read_lines


def words(run: RunFolder) -> list[str]:
    """A line on the parts of the model that no adapter reached, and one on a slow computation, where there are any."""
    start: dict[str, Any] = next((e for e in read_lines(run.events) if e["type"] == "start"), {})
    return [*_not_adapted(start), *_slower(start)]


def first_loss(run: RunFolder) -> float:
    """The loss of the first step; not a number where none was told."""
    return next((float(e["loss"]) for e in read_lines(run.events) if e["type"] == "step"), float("nan"))


def _not_adapted(start: Mapping[str, Any]) -> list[str]:
    parts = start.get("not_adapted") or {}
    if not parts:
        return []
    share = 100 * sum(parts.values()) / start["parameters"]
    return [f"not adapted, for they are no linear layers: {', '.join(parts)} ({share:.0f} % of all weights)"]


def _slower(start: Mapping[str, Any]) -> list[str]:
    """Rows that are not packed, and why: most of what makes a step fast is lost then, and nothing else."""
    how = str(start.get("layout", "forest"))
    if how.startswith("forest"):
        return []
    rows = "padded" if how.startswith("padded") else "computed one by one"
    why = [reason.partition(": ")[2] for reason in start["refused"] if reason.startswith("forest by modules")]
    return [f"rows are {rows}, not packed, which is slower: {'; '.join(why)}"]
