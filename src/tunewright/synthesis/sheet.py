"""Candidates as a sheet for a person: read, corrected, taken or not, and read back."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewright.errors import DataError
from tunewright.store import write_text
from tunewright.synthesis.shelf import Candidate, Decision

COLUMNS = ("candidate", "kind", "made from", "input", "output", "take it (yes or no)", "comment")
CHOICE = COLUMNS[5]
_YES, _NO = ("yes", "y", "accept", "1", "true", "ja", "x"), ("no", "n", "reject", "0", "false", "nein")
_RUNS = ("=", "+", "-", "@", "\t")


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
    out = io.StringIO()
    sheet = csv.writer(out)
    sheet.writerow(COLUMNS)
    for one in candidates:
        origin = one.rewords or ", ".join(one.made["rows"])
        sheet.writerow([one.id, one.made["kind"], _shown(origin), _shown(one.input), _shown(one.output), "", ""])
    write_text(path, out.getvalue())


def read(path: Path) -> list[Verdict]:
    """The decisions of a filled sheet. Raises `DataError` for what is no sheet, and a choice that is none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise DataError("there is no such file.", where=str(path)) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"is no sheet: {error}", where=str(path), remedy="Save it as CSV in UTF-8.") from None
    wanted = {COLUMNS[0], "input", "output", CHOICE}
    if rows and not wanted <= rows[0].keys():
        raise DataError(f"the columns {', '.join(sorted(wanted))} are needed.", where=path.name)
    found = []
    for number, row in enumerate(rows, 2):
        said = (row[CHOICE] or "").strip().casefold()
        if not said:
            continue
        if said not in (*_YES, *_NO):
            raise DataError(f"`{row[CHOICE]}` is neither yes nor no.", where=f"{path.name}:{number}")
        decision: Decision = "accept" if said in _YES else "reject"
        words = (_plain(row["input"] or ""), _plain(row["output"] or ""))
        found.append(Verdict((row["candidate"] or "").strip(), decision, *words, (row.get("comment") or "").strip()))
    return found


def _shown(text: str) -> str:
    """Text that a spreadsheet will not run as a formula."""
    return f"'{text}" if text[:1] in _RUNS else text


def _plain(text: str) -> str:
    text = text.replace("\r\n", "\n")
    return text[1:] if text[:1] == "'" and text[1:2] in _RUNS else text
