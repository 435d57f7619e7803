"""Blind side-by-side sheets for people: arms hidden, sides and order shuffled per reviewer; and reading them back."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewright import sheets
from tunewright.errors import DataError
from tunewright.records import Case, Prediction, Preference, Suite
from tunewright.statistics import agreement, bootstrap, permutation, wilson
from tunewright.store import read_json, write_json, write_text

COLUMNS = ("item", "question", "answer A", "answer B", "better (A, B or tie)", "comment")
CHOICE = COLUMNS[4]
RUBRIC = "Which answer would you rather have been given? Right before helpful, helpful before well put."
_HOW = "Write A, B or tie; leave a row empty if you cannot judge it."
KEY = "key.json"


def write_sheets(
    suite: Suite,
    first: Sequence[Prediction],
    second: Sequence[Prediction],
    folder: Path,
    *,
    reviewers: int = 2,
    cases: int = 50,
    rubric: str | None = None,
    seed: int = 0,
) -> list[Path]:
    """One CSV per reviewer, `rubric.txt` (ours without a `rubric`), and `key.json`, which stays with whoever asks.

    At most `cases` cases, drawn by `seed` from those the two arms answer differently; like answers are noted as ties
    and not shown. No file but the key says which side is which arm. Raises `DataError` when all answers are alike, and
    where sheets in `folder` hold votes already.
    """
    _unanswered(folder)
    mine, theirs = ({p.case: p for p in rows} for rows in (first, second))
    both = [c for c in suite.cases if c.id in mine and c.id in theirs]
    differing = [c for c in both if mine[c.id].text.strip() != theirs[c.id].text.strip()]
    if not differing:
        raise DataError("the two arms give the same answers: there is nothing to review.", where=str(folder))
    drawn = random.Random(seed).sample(differing, min(cases, len(differing)))
    items = {f"{n:03d}": case for n, case in enumerate(drawn, 1)}
    sources = suite.sources or {}
    key: dict[str, Any] = {
        "first": first[0].arm,
        "second": second[0].arm,
        "alike": len(both) - len(differing),
        "items": {item: case.id for item, case in items.items()},
        "sources": {item: sources[case.id] for item, case in items.items() if sources},
        "first_is": {},
    }
    written = []
    for reviewer in range(1, reviewers + 1):
        rng = random.Random(f"{seed}:{reviewer}")
        order = rng.sample(sorted(items), len(items))
        sides = {item: rng.choice("AB") for item in order}
        name = f"sheet-{reviewer}.csv"
        key["first_is"][name] = sides
        texts = {item: (mine[items[item].id].text, theirs[items[item].id].text) for item in order}
        sheets.write(folder / name, COLUMNS, _lines(order, items, sides, texts))
        written.append(folder / name)
    write_text(folder / "rubric.txt", f"{(rubric or RUBRIC).strip()}\n{_HOW}\n")
    write_json(folder / KEY, key)
    return written


def _unanswered(folder: Path) -> None:
    """Raise `DataError` where sheets hold votes: they are somebody's work."""
    if not (folder / KEY).is_file():
        return
    for name in read_json(folder / KEY)["first_is"]:
        if (folder / name).is_file() and any(row[CHOICE].strip() for row in sheet_rows(folder / name)):
            raise DataError(
                "votes stand in it already.",
                where=str(folder / name),
                remedy="Name another folder for new sheets: --out",
            )


def _lines(
    order: Sequence[str], items: Mapping[str, Case], sides: Mapping[str, str], texts: Mapping[str, tuple[str, str]]
) -> Iterator[Sequence[str]]:
    for item in order:
        ours, theirs = texts[item]
        left, right = (ours, theirs) if sides[item] == "A" else (theirs, ours)
        yield item, items[item].question, left, right, "", ""


def read_sheets(folder: Path, *, seed: int = 0) -> Preference:
    """What the filled sheets of a folder say: the share of votes for the first arm with its 95 % interval.

    Ties count half; votes on one case, or on cases of one source, are resampled together; p is a sign-flip test on
    them. Agreement holds the
    share of agreeing pairs and Cohen's, Fleiss' and Krippendorff's coefficients where they apply. Raises `DataError`
    for a missing key, an answer that is none, or sheets with no vote.
    """
    if not (folder / KEY).is_file():
        raise DataError(
            "there is no review here.", where=str(folder / KEY), remedy="Make one: tunewright review export"
        )
    key = read_json(folder / KEY)
    votes: dict[str, dict[str, str]] = {}
    for name, sides in key["first_is"].items():
        if (folder / name).is_file():
            for item, vote in sheet_votes(folder / name, sides).items():
                votes.setdefault(item, {})[name] = vote
    if not votes:
        raise DataError("no sheet holds a vote yet.", where=str(folder), remedy=f"Fill the column `{CHOICE}`.")
    worth = {"first": 1.0, "tie": 0.5, "second": 0.0}
    values = [(item, worth[vote]) for item, given in sorted(votes.items()) for vote in given.values()]
    source = key.get("sources", {})
    together = [source.get(item, f"item {item}") for item, _ in values]
    share, low, high = _interval([v for _, v in values], together, seed)
    per_case = [sum(worth[v] for v in given.values()) / len(given) - 0.5 for given in votes.values()]
    names = sorted({name for given in votes.values() for name in given})
    return Preference(
        first=key["first"],
        second=key["second"],
        share=share,
        low=low,
        high=high,
        p=permutation(per_case, clusters=[source.get(item, f"item {item}") for item in votes], seed=seed),
        cases=len(votes),
        votes=len(values),
        ties=sum(v == 0.5 for _, v in values),
        reviewers=len(names),
        agreement=_agreement([[given.get(name) for name in names] for given in votes.values()]),
    )


def _interval(values: Sequence[float], clusters: Sequence[str], seed: int) -> tuple[float, float, float]:
    """The mean vote with its 95 % interval; where all vote alike, as sure as there are sources."""
    sources = len(set(clusters))
    if set(values) in ({0.0}, {1.0}):
        return wilson(sources * int(values[0]), sources)
    return bootstrap(values, clusters=clusters, seed=seed)


def _agreement(ratings: Sequence[Sequence[str | None]]) -> dict[str, float | None]:
    try:
        return agreement(ratings)._asdict()
    except ValueError:  # nobody judged what another judged
        return {}


def sheet_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a sheet, each `item` as it was written."""
    rows = sheets.read(path, COLUMNS[:5])
    return [{**row, "item": row["item"].strip().zfill(3)} for row in rows]


def sheet_votes(path: Path, sides: Mapping[str, str]) -> dict[str, str]:
    """Votes of one sheet by item, as `first`, `second` or `tie`."""
    found = {}
    for number, row in enumerate(sheet_rows(path), 2):
        said, item = row[CHOICE].strip().casefold(), row["item"]
        if not said:
            continue
        if said not in ("a", "b", "tie") or item not in sides:
            what = f"item {item} is not of this review" if item not in sides else f"`{row[CHOICE]}` is not A, B or tie"
            raise DataError(f"{what}.", where=f"{path.name}:{number}")
        found[item] = "tie" if said == "tie" else "first" if said.upper() == sides[item] else "second"
    return found
