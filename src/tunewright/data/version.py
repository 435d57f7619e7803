"""Dataset versions on disk: a folder named after its content, written whole or not at all, never changed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from tunewright.data.progress import Progress, silent
from tunewright.data.split import NAMES
from tunewright.data.table import Table
from tunewright.errors import DataError, RunError
from tunewright.records import DatasetRecord, Example, Message
from tunewright.store import directory, read_json, read_lines, write_json

_ID_CHARS = 16
_EVERY = 10_000


def write(
    folder: Path,
    record: DatasetRecord,
    table: Table,
    split: np.ndarray,
    held: np.ndarray,
    answers: Mapping[int, str],
    weights: np.ndarray | None = None,
    progress: Progress = silent,
) -> tuple[Path, DatasetRecord]:
    """Write the rows of `table` by `split` (-1: not used) with their new `answers` and `weights`, and
    `dataset.json`.

    `held` is the fold (from 1) in which a row is held out; 0 for none, which is not written.

    The id is the hash of rows, split and what is recorded of them (its parent aside), so an equal version that is
    already there is left as it is.
    """
    aside = {"parent", "note", *(() if record.folds else ("folds",))}
    total = sha256(record.model_dump_json(exclude=aside).encode())
    # Twice over the rows: the name of the folder is known only when all of them are.
    rows = 2 * int((split >= 0).sum())
    for done, (line, place) in enumerate(_lines(table, split, held, answers, weights)):
        if done % _EVERY == 0:
            progress("rows written, in two passes", done, rows)
        total.update(bytes([place]) + line)
    record = record.model_copy(update={"id": total.hexdigest()[:_ID_CHARS]})
    path = folder / record.id
    if (path / "dataset.json").exists():
        return path, record
    with directory(path) as draft:
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context((draft / f"{name}.jsonl").open("wb")) for name in NAMES]
            for done, (line, place) in enumerate(_lines(table, split, held, answers, weights), rows // 2):
                if done % _EVERY == 0:
                    progress("rows written, in two passes", done, rows)
                files[place].write(line)
        write_json(draft / "dataset.json", record.model_dump(mode="json"))
    return path, record


def _lines(
    table: Table, split: np.ndarray, held: np.ndarray, answers: Mapping[int, str], weights: np.ndarray | None
) -> Iterator[tuple[bytes, int]]:
    """The used rows as they are written, and the split of each."""
    index = np.flatnonzero(table.c["fault"] == 0)
    places, folds = split[index].tolist(), held[index].tolist()
    for line, i, place, fold in zip(table.spool.lines(), index.tolist(), places, folds, strict=True):
        if place >= 0:
            answered = _marked(line, answers.get(i), fold) if fold or i in answers else line
            yield (answered if weights is None else _weighed(answered, float(weights[i]))), place


def _marked(line: bytes, answer: str | None, fold: int) -> bytes:
    row = json.loads(line)
    if answer is not None:
        row["messages"][-1]["content"] = answer
        if "label" in row:
            row["label"] = answer
    if fold:
        row["fold"] = fold
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _weighed(line: bytes, factor: float) -> bytes:
    """The row with its weight times `factor`; an even weight is not written."""
    if factor == 1.0:
        return line
    row = json.loads(line)
    row["weight"] = row.get("weight", 1.0) * factor
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def read_record(path: Path) -> DatasetRecord:
    """The record of the dataset version at `path`. Raises `DataError` when there is none."""
    try:
        return read_json(path / "dataset.json", DatasetRecord)
    except (OSError, RunError) as error:
        raise DataError(
            "is not a dataset version.", where=str(path), remedy="Make one with: tunewright check"
        ) from error


def load(path: Path, split: str, *, share: float = 1.0, seed: int = 0) -> list[Example]:
    """The examples of one split ("train", "validation" or "test") of the dataset version at `path`.

    With a `share` below 1, that part of them, in order: drawn by content, so that a smaller share lies within a
    larger one, and per label where rows have labels; another `seed` draws others. This is what a learning curve is
    measured on.

    Raises `DataError` when there is no such version or split.
    """
    examples = list(stream(path, split))
    return examples if share >= 1 else _drawn(examples, share, seed)


def _drawn(examples: list[Example], share: float, seed: int) -> list[Example]:
    by_label: dict[str | None, list[tuple[bytes, int]]] = {}
    for i, example in enumerate(examples):
        mark = f"{seed} " if seed else ""
        draw = sha256((mark + repr(example.messages)).encode("utf-8", "surrogatepass")).digest()
        by_label.setdefault(example.label, []).append((draw, i))
    # At equal distances per label, so that every share holds the labels in proportion.
    places = sorted(
        ((k + 0.5) / len(rows), draw, i) for rows in by_label.values() for k, (draw, i) in enumerate(sorted(rows))
    )
    kept = sorted(i for _, _, i in places[: max(1, round(share * len(examples)))])
    return [examples[i] for i in kept]


def stream(path: Path, split: str) -> Iterator[Example]:
    """Like `load`, one example at a time."""
    if split not in NAMES:
        raise DataError(f"`{split}` is not a split.", where=str(path), remedy=f"Splits are {', '.join(NAMES)}.")
    read_record(path)
    for row in read_lines(path / f"{split}.jsonl"):
        yield example_of(row)


def example_of(row: Mapping[str, Any]) -> Example:
    """The example that a row of ours holds."""
    return Example(
        messages=tuple(
            Message(
                t["role"],
                t["content"],
                tuple(call["function"] for call in t.get("tool_calls", ())),
                t.get("weight") != 0,
                t.get("reasoning_content", ""),
            )
            for t in row["messages"]
        ),
        row=row.get("row", ""),
        tools=tuple(row.get("tools", ())),
        source=row.get("source", ""),
        license=row.get("license"),
        group=row.get("group"),
        weight=row.get("weight", 1.0),
        synthetic=row.get("synthetic", False),
        label=row.get("label"),
        rewords=row.get("rewords"),
        fold=row.get("fold", 0),
    )
