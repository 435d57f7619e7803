"""What checks notice and what must hold before a model ships."""

from __future__ import annotations

from typing import Any, Literal

from tunewright.records.record import Record

Severity = Literal["error", "warning", "info"]


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
    """A condition to ship. `ok` None means cannot tell: shown amber, does not block."""

    name: str
    ok: bool | None
    message: str
    allowed_because: str | None = None
