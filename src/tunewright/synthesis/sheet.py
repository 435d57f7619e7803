"""Candidates as a sheet for a person: read, corrected, taken or not, and read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright import sheets
from tunewright.errors import DataError
from tunewright.synthesis.shelf import Candidate, Decision

COLUMNS = ("candidate", "kind", "made from", "input", "output", "take it (yes or no)", "comment")
CHOICE = COLUMNS[5]
_YES, _NO = ("yes", "y", "accept", "1", "true", "ja", "x"), ("no", "n", "reject", "0", "false", "nein")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a sheet says of one candidate: the decision, and the words as the reviewer left them."""

    candidate: str
    decision: Decision
    input: str
    output: str
    note: str


def write(path: Path, candidates: Sequence[Candidate]) -> None:
    """One line per candidate. Input and output may be corrected in place; a line left without yes or no waits on."""
    lines = (
        (one.id, one.made["kind"], one.rewords or ", ".join(one.made["rows"]), one.input, one.output, "", "")
        for one in candidates
    )
    sheets.write(path, COLUMNS, lines)


def read(path: Path) -> list[Verdict]:
    """The decisions of a filled sheet. Raises `DataError` for what is no sheet, and a choice that is none."""
    rows = sheets.read(path, ("candidate", "input", "output", CHOICE))
    found = []
    for number, row in enumerate(rows, 2):
        said = row[CHOICE].strip().casefold()
        if not said:
            continue
        if said not in (*_YES, *_NO):
            raise DataError(f"`{row[CHOICE]}` is neither yes nor no.", where=f"{path.name}:{number}")
        decision: Decision = "accept" if said in _YES else "reject"
        note = row.get("comment", "").strip()
        found.append(Verdict(row["candidate"].strip(), decision, row["input"], row["output"], note))
    return found
