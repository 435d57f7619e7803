"""What checks notice and what must hold before a model ships."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from tunewright.records.record import Record

Severity = Literal["error", "warning", "info"]

# Every gate there is: the names that `--allow` takes.
GATES = (
    "bad_rows",
    "leak",
    "suite_size",
    "license",
    "strict",
    "cheaper_means",
    "min_gain",
    "worst_slice",
    "enough",
    "forgetting",
    "abilities",
    "safety",
    "judge",
    "parity",
)


class Finding(Record):
    """Something a check noticed. `count` is defined per code in the docs; `rows` names at most the first 1,000."""

    code: str
    severity: Severity
    count: int
    rows: tuple[str, ...] = ()
    evidence: dict[str, Any] = {}
    message: str
    remedy: str = ""


class Gate(Record):
    """A condition to ship. `ok` None means cannot tell: shown amber, does not block.

    `allowed_because`: it said no, and somebody passed it on the record for this reason; `ok` stays what was found.
    """

    name: str
    ok: bool | None
    message: str
    allowed_because: str | None = None

    @property
    def blocks(self) -> bool:
        """Whether it says no and nobody passed it."""
        return self.ok is False and not self.allowed_because

    def passed(self, allow: Mapping[str, str]) -> Gate:
        """The gate with the reason that `allow` gives by its name, where it says no."""
        said = self.ok is False and self.name in allow
        return self.model_copy(update={"allowed_because": allow[self.name]}) if said else self
