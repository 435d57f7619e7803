"""Sample logs of lm-evaluation-harness (`--log_samples`, `samples_TASK_DATE.jsonl`) as a suite with answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.errors import DataError
from tunewright.records import Case, Prediction, Suite

_OURS = "samples_TASK_DATE.jsonl, as lm_eval --log_samples writes it"
# Metrics under which lower is better, or that have no upper end.
_UNBOUNDED = frozenset({"perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "ter"})


@dataclass(frozen=True, slots=True)
class Samples:
    """One log: the cases, the answers with their scores under `metric`, and which of the log's filters they are of."""

    suite: Suite
    predictions: tuple[Prediction, ...]
    metric: str
    filter: str


def read_samples(path: Path, *, arm: str, metric: str | None = None, filter: str | None = None) -> Samples:
    """The log as cases and answers of `arm`.

    A log scores each answer once per filter: one `filter` is read, the first by default; likewise the first `metric`
    with values from 0 to 1. Seconds are not in such logs and are 0. Raises `DataError` for what is no such log, a
    metric or filter it does not have, or values outside 0…1.
    """
    rows = _rows(path)
    filters = list(dict.fromkeys(str(row.get("filter", "none")) for _, row in rows))
    chosen = filter or filters[0]
    if chosen not in filters:
        raise DataError(f"has no filter `{chosen}`.", where=path.name, remedy=f"Filters: {', '.join(filters)}")
    rows = [(number, row) for number, row in rows if str(row.get("filter", "none")) == chosen]
    named = metric or _metric(path, rows[0][1])
    cases, predictions = [], []
    for number, row in rows:
        case, text = _case(row), _answer(row)
        cases.append(case)
        score = _score(row, named, f"{path.name}:{number}")
        predictions.append(
            Prediction(case=case.id, arm=arm, text=text, score=score, seconds=0.0, scores={named: score})
        )
    if len({case.id for case in cases}) < len(cases):
        raise DataError(f"holds a case twice under the filter `{chosen}`.", where=path.name)
    suite = Suite(id=path.stem, cases=tuple(cases), scorers=(named,), primary=named, source=path.name)
    return Samples(suite, tuple(predictions), named, chosen)


def same_cases(first: Samples, second: Samples) -> None:
    """Raises `DataError` unless both logs ask the same questions, want the same answers and score alike."""
    if first.metric != second.metric or first.filter != second.filter:
        raise DataError(
            f"one log is scored by {first.metric} ({first.filter}), the other by {second.metric} ({second.filter}).",
            remedy="Name both: --metric and --filter.",
        )
    ours, theirs = ({c.id: (c.row, c.expected) for c in one.suite.cases} for one in (first, second))
    if ours != theirs:
        differing = sum(ours.get(key) != theirs.get(key) for key in ours.keys() | theirs.keys())
        raise DataError(
            f"{differing} cases differ between the logs: a paired comparison needs the same ones.",
            where=f"{first.suite.source}, {second.suite.source}",
            remedy="Run both models on the same version of the task.",
        )


def _rows(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise DataError("there is no such file.", where=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {error}", where=str(path)) from None
    rows: list[tuple[int, Mapping[str, Any]]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or not {"doc_id", "doc", "target", "resps"} <= row.keys():
            raise DataError("is no logged sample.", where=f"{path.name}:{number}", remedy=f"Wanted: {_OURS}.")
        rows.append((number, row))
    if not rows:
        raise DataError("holds no sample.", where=path.name, remedy=f"Wanted: {_OURS}.")
    return rows


def _metric(path: Path, row: Mapping[str, Any]) -> str:
    """The first metric of a row that is a score from 0 to 1."""
    known = row.get("metrics") or [k for k, v in row.items() if isinstance(v, (int, float)) and k != "doc_id"]
    for name in known:
        value = row.get(name)
        if name not in _UNBOUNDED and isinstance(value, (int, float)) and 0 <= value <= 1:
            return str(name)
    listed = ", ".join(map(str, known)) or "none"
    raise DataError("no metric of it lies from 0 to 1.", where=path.name, remedy=f"Metrics in the log: {listed}.")


def _score(row: Mapping[str, Any], metric: str, where: str) -> float:
    value = row.get(metric)
    if not isinstance(value, (int, float)):
        names = ", ".join(map(str, row.get("metrics") or ())) or "none named"
        raise DataError(f"has no number under `{metric}`.", where=where, remedy=f"Metrics in the log: {names}.")
    if not 0 <= value <= 1:
        raise DataError(f"`{metric}` is {value}; a score lies from 0 to 1.", where=where)
    return float(value)


def _case(row: Mapping[str, Any]) -> Case:
    doc, target = row["doc"], row["target"]
    expected = target if isinstance(target, str) else json.dumps(target, ensure_ascii=False)
    message = {"role": "user", "content": _prompt(row.get("arguments"), doc)}
    # The hash of the document tells whether two logs asked the same.
    return Case(id=str(row["doc_id"]), messages=(message,), expected=expected, row=str(row.get("doc_hash", "")))


def _prompt(arguments: Any, doc: Any) -> str:
    """What the model was sent first; the document itself where the log does not say."""
    first: Any = None
    if isinstance(arguments, Mapping) and arguments:
        first = next(iter(arguments.values()))
        first = first.get("arg_0") if isinstance(first, Mapping) else first
    elif isinstance(arguments, Sequence) and arguments:
        first = arguments[0]
        first = first[0] if isinstance(first, (list, tuple)) and first else first
    return first if isinstance(first, str) else json.dumps(doc, ensure_ascii=False)


def _answer(row: Mapping[str, Any]) -> str:
    """The generated text; for multiple choice the number of the likeliest option."""
    found = row.get("filtered_resps") or row["resps"]
    while isinstance(found, (list, tuple)) and len(found) == 1:
        found = found[0]
    if isinstance(found, str):
        return found
    try:
        odds = [float((option[0] if isinstance(option[0], (list, tuple)) else option)[0]) for option in found]
        return str(odds.index(max(odds)))
    except (TypeError, ValueError, IndexError):
        return json.dumps(found, ensure_ascii=False)
