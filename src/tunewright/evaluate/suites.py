"""Suites: the cases every arm meets, from held-out examples or from a file."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tunewright.errors import DataError, RecipeError
from tunewright.evaluate.leaves import parse
from tunewright.evaluate.scorers import expected_text, final_number, find
from tunewright.recipe import SuiteSpec
from tunewright.records import Case, Example, Suite
from tunewright.store import digest
from tunewright.text import normal

# Enough for an interval of about ±4 points, little enough for a laptop.
AUTO_CASES = 500
MOST_LABELS = 200
NEAR = "near a training row"
# Words above which an answer is prose that nobody gives word for word.
LONG_ANSWER = 12


def make_suite(
    source: Sequence[Example] | Path,
    spec: SuiteSpec,
    *,
    seed: int,
    known: Sequence[Example] = (),
    near: Collection[str] = (),
) -> Suite:
    """A suite of held-out examples or of a file's cases (`load_suite`), at most `spec.cases` of them, drawn by `seed`.

    `known` are training examples: they tell which answers occur, for choosing scorers and labels; nothing else is
    taken from them. `near` are rows that the audit found nearly the same as a training row: they become a slice, so
    that scores can be read without them. Raises `DataError` when there are no examples or one is marked synthetic (a
    model may not be judged by rows a model made), `RecipeError` or `ScorerError` for a slice or scorer that does not
    exist.
    """
    if isinstance(source, Path):
        suite = load_suite(source, spec, seed=seed, known=known)
        return _marked(suite, near) if any(c.row in near for c in suite.cases) else suite
    examples = source
    if not examples:
        raise DataError(
            "no rows are held out, so nothing can be compared.",
            where="suite",
            remedy="Raise data.split.test, name a data.test file, or name a file of cases in suite.source.",
        )
    made = [e.row for e in examples if e.synthetic]
    if made:
        raise DataError(
            f"{len(made)} held-out rows are marked synthetic (the first: {made[0]}).",
            where="suite",
            remedy="Judge by real rows: keep synthetic files in data.train only.",
        )
    cases = [_case(example, place) for place, example in enumerate(examples)]
    answers = [*(case.expected for case in cases), *(_answer(e) for e in known)]
    suite = _suite(cases, answers, spec, seed, "test")
    return _marked(suite, near) if any(c.row in near for c in suite.cases) else suite


def _marked(suite: Suite, near: Collection[str]) -> Suite:
    """The suite with a slice that parts the cases which have a near twin in training from those that have none."""
    marks = {True: "yes", False: "no"}
    cases = [c.model_copy(update={"slices": {**c.slices, NEAR: marks[c.row in near]}}) for c in suite.cases]
    return suite.model_copy(update={"cases": tuple(cases)})


def load_suite(path: Path, spec: SuiteSpec, *, seed: int, known: Sequence[Example] = ()) -> Suite:
    """A suite from a JSON-lines file of cases.

    A line is `{"messages": […]}` whose last turn is the answer wanted, or `{"input": text, "expected": text}`; both
    take `"id"`, `"slices": {name: value}`, `"group"` (what it comes from) and `"tools"`.
    Raises `DataError` with the line of the first mistake.
    """
    try:
        # Not `splitlines`: a text may hold other line separators, which JSON need not escape.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        raise DataError("there is no such file.", where=str(path), remedy="Check suite.source.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {error}", where=str(path)) from None
    cases = [_read(line, f"{path.name}:{n}") for n, line in enumerate(lines, 1) if line.strip()]
    if not cases:
        raise DataError("holds no cases.", where=str(path))
    twice = [i for i, n in Counter(case.id for case in cases).items() if n > 1]
    if twice:
        raise DataError(f"the id {twice[0]!r} is used twice.", where=str(path), remedy="Give every case its own id.")
    return _suite(cases, [*(c.expected for c in cases), *(_answer(e) for e in known)], spec, seed, path.name)


def _read(line: str, where: str) -> Case:
    remedy = 'A case is {"messages": [...]} ending with the answer, or {"input": ..., "expected": ...}.'
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DataError(f"broken JSON: {error}", where=where, remedy=remedy) from None
    if not isinstance(row, dict):
        raise DataError("not an object.", where=where, remedy=remedy)
    slices = row.get("slices") or {}
    more = {
        "id": str(row.get("id", where)),
        "row": where,
        "group": str(row["group"]) if row.get("group") is not None else None,
        "tools": tuple(row.get("tools") or ()),
        "slices": {str(k): str(v) for k, v in slices.items()} if isinstance(slices, dict) else {},
    }
    if isinstance(row.get("input"), str) and isinstance(row.get("expected"), str):
        return Case(messages=({"role": "user", "content": row["input"]},), expected=row["expected"], **more)
    turns = row.get("messages")
    if (
        not isinstance(turns, list)
        or len(turns) < 2
        or not all(isinstance(t, dict) and isinstance(t.get("content"), (str, type(None))) for t in turns)
        or turns[-1].get("role") != "assistant"
    ):
        raise DataError("no case.", where=where, remedy=remedy)
    calls = [c.get("function", c) for c in turns[-1].get("tool_calls") or () if isinstance(c, dict)]
    expected = expected_text(turns[-1].get("content") or "", calls)
    return Case(messages=tuple(turns[:-1]), expected=expected, **more)


def _answer(example: Example) -> str:
    return expected_text(example.answer.content, example.answer.tool_calls)


def _case(example: Example, place: int) -> Case:
    return Case(
        id=example.row or f"case:{place + 1}",
        messages=tuple(m.as_dict() for m in example.prompt),
        tools=tuple(dict(t) for t in example.tools),
        expected=_answer(example),
        row=example.row,
        group=example.group,
    )


def _suite(cases: list[Case], answers: Sequence[str], spec: SuiteSpec, seed: int, source: str) -> Suite:
    wanted = AUTO_CASES if spec.cases == "auto" else spec.cases
    if len(cases) > wanted:
        places = sorted(random.Random(seed).sample(range(len(cases)), wanted))
        cases = [cases[p] for p in places]
    labels = _labels(answers)
    scorers = tuple(spec.scorers) or _scorers(answers, labels)
    if spec.primary and spec.primary not in scorers:
        scorers = (spec.primary, *scorers)
    for name in scorers:
        find(name)
    cases = _sliced(cases, spec.slices, labels)
    primary = spec.primary or scorers[0]
    if not labels and primary == "choice":
        labels = tuple(sorted(set(answers)))
    identity = digest(*(c.model_dump_json() for c in cases), *scorers, primary)[:16]
    return Suite(id=identity, cases=tuple(cases), scorers=scorers, primary=primary, source=source, labels=labels)


def _labels(answers: Sequence[str]) -> tuple[str, ...]:
    """The classes, when the answers are classes: few distinct short texts, each seen more than once on average."""
    distinct = Counter(a.strip() for a in answers)
    short = all(len(a) <= 80 and "\n" not in a and len(a.split()) <= 8 for a in distinct)
    few = 2 <= len(distinct) <= MOST_LABELS and len(distinct) * 3 <= len(answers)
    structured = any(a.startswith(("{", "[", "<tool_call>")) for a in distinct)
    return tuple(sorted(distinct)) if short and few and not structured else ()


def _scorers(answers: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    """Scorers that fit the form of the answers; the first decides."""
    if labels:
        return ("choice", "exact")
    need = 0.95 * len(answers)
    if sum("<tool_call>" in a for a in answers) >= 0.3 * len(answers):
        return ("tool_calls", "exact")
    if sum(map(_structured, answers)) >= need:
        return ("json_fields", "json_valid", "exact")
    numbers = sum("####" in a and final_number(a) is not None for a in answers)
    if numbers >= need or sum(_bare_number(a) for a in answers) >= need:
        return ("numeric",)
    if median(len(a.split()) for a in answers) > LONG_ANSWER:
        return ("rouge_l", "rouge_1", "chrf")
    return ("normalised", "exact")


def _structured(answer: str) -> bool:
    try:
        return isinstance(parse(answer), (dict, list))
    except ValueError:
        return False


def _bare_number(answer: str) -> bool:
    try:
        float(answer.strip().replace(",", "").lstrip("$€£"))
    except ValueError:
        return False
    return True


def _sliced(cases: Sequence[Case], names: Sequence[str], labels: Sequence[str]) -> list[Case]:
    """The cases with the values of their slices: the named JSON fields of the expected answer, or the gold label."""
    fields = [_fields(case.expected) for case in cases]
    if not names:
        names = ("label",) if labels else _telling(fields)
    sliced = []
    for case, values in zip(cases, fields, strict=True):
        found = dict(case.slices)
        for name in names:
            if name not in found:
                found[name] = case.expected.strip() if name == "label" else values.get(name, "(none)")
        sliced.append(case.model_copy(update={"slices": found}))
    for name in names:
        if name != "label" and all(case.slices[name] == "(none)" for case in sliced):
            known = sorted({key for values in fields for key in values} | {k for c in cases for k in c.slices})
            raise RecipeError(
                f"no case has a field `{name}` to slice by.",
                where="suite.slices",
                remedy=f"Known: {', '.join(known)}" if known else "Use `label`, or cases whose answers are JSON.",
            )
    return sliced


def _fields(answer: str) -> dict[str, str]:
    """Top-level and nested scalar fields of a JSON answer by dotted name."""
    try:
        value = parse(answer)
    except ValueError:
        return {}
    found: dict[str, str] = {}

    def walk(inner: Any, at: str) -> None:
        if isinstance(inner, dict):
            for key, below in inner.items():
                walk(below, f"{at}.{key}" if at else key)
        elif not isinstance(inner, list) and at:
            found[at] = inner if isinstance(inner, str) else json.dumps(inner)

    walk(value, "")
    return found


def _telling(fields: Sequence[dict[str, str]]) -> tuple[str, ...]:
    """At most two fields that nearly all answers have and that take few values: worth a look without being asked."""
    seen: dict[str, Counter[str]] = {}
    for values in fields:
        for key, value in values.items():
            seen.setdefault(key, Counter())[normal(value)] += 1
    telling = [
        key
        for key, counts in seen.items()
        if sum(counts.values()) >= 0.9 * len(fields) and 2 <= len(counts) <= min(12, len(fields) // 5)
    ]
    return tuple(telling[:2])
