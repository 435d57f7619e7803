"""Takes dataset versions, gives their history, their differences and a card to read."""

from __future__ import annotations

import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from tunewright.data.auditing import Audit
from tunewright.data.batches import joined
from tunewright.data.conversion import convert
from tunewright.data.recognition import recognise
from tunewright.data.rows import Source, rows
from tunewright.data.split import NAMES
from tunewright.data.version import example_of, read_record, stream
from tunewright.records import DatasetRecord, Example, Record
from tunewright.store import read_lines, write_json

_NAMED = 1000

__all__ = ["Diff", "Fix", "adopt", "card", "converted", "diff", "log"]


class Diff(Record):
    """What one version has that the other has not. Counts are complete, names are the first 1,000 of each."""

    before: str
    after: str
    counts: dict[str, int]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()


class Fix(Record):
    """A version with fixes accepted: its audit, the version it comes from, and what differs."""

    audit: Audit
    before: DatasetRecord
    diff: Diff


def log(store: Path) -> list[DatasetRecord]:
    """All dataset versions under `store`, oldest first."""
    folder = store / "datasets"
    paths = [path for path in folder.iterdir() if (path / "dataset.json").is_file()] if folder.is_dir() else []
    return [
        read_record(path) for path in sorted(paths, key=lambda path: ((path / "dataset.json").stat().st_mtime, path))
    ]


def adopt(path: Path, parent: str, note: str) -> DatasetRecord:
    """Record which version the one at `path` was made from. The first to say so is believed: versions do not change."""
    record = read_record(path)
    if record.parent or record.id == parent:
        return record
    record = record.model_copy(update={"parent": parent, "note": note})
    write_json(path / "dataset.json", record.model_dump(mode="json"))
    return record


def diff(before: Path, after: Path) -> Diff:
    """Rows by name: added, removed, changed in content, or moved to another split. Raises `DataError`."""
    old, new = _rows(before), _rows(after)
    added = [row for row in new if row not in old]
    removed = [row for row in old if row not in new]
    both = [row for row in new if row in old]
    changed = [row for row in both if new[row][1] != old[row][1]]
    moved = [row for row in both if new[row][0] != old[row][0]]
    named = {"added": added, "removed": removed, "changed": changed, "moved": moved}
    return Diff(
        before=read_record(before).id,
        after=read_record(after).id,
        counts={name: len(rows) for name, rows in named.items()},
        **{name: tuple(rows[:_NAMED]) for name, rows in named.items()},
    )


def _rows(path: Path) -> dict[str, tuple[tuple[int, int], bytes]]:
    """Split (with its fold) and digest of each row, by name."""
    read_record(path)
    found: dict[str, tuple[tuple[int, int], bytes]] = {}
    for k, split in enumerate(NAMES):
        for row in read_lines(path / f"{split}.jsonl"):
            example = example_of(row)
            content = repr((example.messages, example.tools, example.label, example.weight))
            found[example.row] = ((k, example.fold), sha256(content.encode("utf-8", "surrogatepass")).digest())
    return found


def card(path: Path) -> str:
    """The version at `path` as a Markdown data card: what it is made of, what was set aside, what it looks like.

    Raises `DataError` when there is no version.
    """
    record = read_record(path)
    ledger = record.ledger
    lines = [f"# Dataset {record.id}", ""]
    if record.parent:
        lines += [f"Made from {record.parent} ({record.note}).", ""]
    lines += ["| source | shape | rows | licence | sha256 |", "|---|---|---:|---|---|"]
    lines += [
        f"| {s.path} | {s.shape}: {s.reason} | {s.rows:,} | {s.license or 'not stated'} | {s.sha256[:12]}… |"
        for s in record.sources
    ]
    aside = ", ".join(f"{n:,} {reason}" for reason, n in ledger.set_aside.items()) or "none"
    lines += [
        "",
        f"{ledger.read:,} rows read = {ledger.kept:,} kept + {ledger.changed:,} changed and used + set aside: {aside}.",
        "",
        "| split | rows | median characters asked | median characters answered |",
        "|---|---:|---:|---:|",
    ]
    labels: Counter[str] = Counter()
    synthetic = 0
    first: dict[str, Any] = {}
    for split in record.splits:
        asked, answered = [], []
        for example in stream(path, split):
            asked.append(sum(len(m.content) for m in example.prompt))
            answered.append(len(example.answer.content))
            synthetic += example.synthetic
            if split != "rehearsal" and (example.label is not None or record.labels):
                labels[example.label or example.answer.content] += split == "train"
            first = first or {"asked": example.prompt[-1].content, "answered": example.answer.content}
        middle = [f"{statistics.median(sizes):,.0f}" if sizes else "-" for sizes in (asked, answered)]
        lines.append(f"| {split} | {len(asked):,} | {middle[0]} | {middle[1]} |")
    if record.folds:
        held = ", ".join(map(str, record.folds))
        lines += ["", f"Every row is held out once, in {len(record.folds)} folds of {held} rows."]
    lines += ["", f"Synthetic rows: {synthetic:,}."]
    if labels:
        lines += ["", "| label | train rows |", "|---|---:|", *(f"| {t} | {n:,} |" for t, n in labels.most_common(100))]
    if first:
        lines += ["", "An example:", "", _quoted(first["asked"]), "", _quoted(first["answered"])]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text[:500].splitlines() or [""])


def converted(
    file: Path,
    to: str,
    *,
    input: str | None = None,
    output: str | None = None,
    system: str | None = None,
    requests: Path | None = None,
) -> tuple[list[dict[str, Any]], list[tuple[str, str]], list[tuple[str, str]]]:
    """The rows of a data file in the shape `to`; and names and reasons of the faulty ones and of those that the shape
    cannot hold or the service would refuse, which are both left out.

    With `requests` the file holds the results of a batch, which are joined to what was asked. Raises `DataError` as
    `recognise`, `joined` and `convert` do: where no row is left, too.
    """
    faults: list[tuple[str, str]] = []
    refused: list[tuple[str, str]] = []

    def good(source: Source, missing: Mapping[int, str]) -> Iterator[Example]:
        for row in rows(source):
            if row.example:
                yield row.example
            else:
                faults.append((f"{file.name}:{row.number}", missing.get(row.number, row.message)))

    with tempfile.TemporaryDirectory() as folder:
        path: Path = file
        missing: Mapping[int, str] = {}
        if requests is not None:
            path = Path(folder) / "joined.jsonl"
            missing = joined(requests, file, path)
        reading = recognise(path, input=input, output=output)
        source = Source(given=str(file), path=path, name=file.name, reading=reading, test=False, system=system)
        made = list(convert(good(source, missing), to, lambda row, reason: refused.append((row, reason)), faults))
    return made, faults, refused
