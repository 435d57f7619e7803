"""The cases every arm meets, and what an arm answered."""

from __future__ import annotations

from typing import Any

from tunewright.records.record import Record

# The slice that parts cases with a near twin in training from those without.
NEAR = "near a training row"


class Case(Record):
    """One question of a suite, with the answer wanted. `slices` are named values to break scores down by.

    Cases of one `group` come from one source (a customer, a document) and are no independent evidence.
    """

    id: str
    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...] = ()
    expected: str
    slices: dict[str, str] = {}
    row: str = ""
    group: str | None = None

    @property
    def question(self) -> str:
        """What is asked, for whoever judges answers: all turns but the system's; who speaks, where it is not one."""
        turns = [f"{m.get('role')}: {m.get('content') or ''}" for m in self.messages if m.get("role") != "system"]
        return turns[0].removeprefix("user: ") if len(turns) == 1 else "\n".join(turns)


class Suite(Record):
    """The cases every arm meets, and how their answers are scored. `labels`: the classes, where answers are classes."""

    id: str
    cases: tuple[Case, ...]
    scorers: tuple[str, ...]
    primary: str
    source: str = ""
    labels: tuple[str, ...] = ()

    @property
    def sources(self) -> dict[str, str] | None:
        """Case to source, where some cases share one: such cases are resampled and flipped together."""
        named = {c.id: f"case {c.id}" if c.group is None else c.group for c in self.cases}
        return named if len(set(named.values())) < len(named) else None


class Prediction(Record):
    """What one arm answered to one case. `score` is the primary scorer's, None when the scorer itself failed.

    `key` is the hash of all that made the answer: weights, adapter, template, prompt and sampling. `cost` is of this
    one request, None where unknown; `tokens` are those of the prompt and of the answer, as a server counted them.
    `drawn`: the server takes no temperature, so that asked again it may say something else. `thought` is what was
    thought before the answer, where that is told apart; `unended`: all tokens went into it, and there is no answer.
    """

    case: str
    arm: str
    prompt_ids: tuple[int, ...] = ()
    output_ids: tuple[int, ...] = ()
    text: str
    score: float | None
    seconds: float
    scores: dict[str, float | None] = {}
    error: str | None = None
    key: str = ""
    cost: float | None = None
    tokens: tuple[int, int] | None = None
    drawn: bool = False
    thought: str = ""
    unended: bool = False
