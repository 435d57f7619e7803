"""Suites: the cases every arm meets, from held-out examples or from a file."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tunewright.errors import DataError, RecipeError
from tunewright.evaluate.calls import in_our_form
from tunewright.evaluate.cases import read_cases
from tunewright.evaluate.leaves import parse
from tunewright.evaluate.scorers import expected_text, final_number, find, score
from tunewright.recipe import SuiteSpec
from tunewright.records import NEAR, Case, Example, Suite
from tunewright.store import digest
from tunewright.text import normal

# Enough for an interval of about ±4 points, little enough for a laptop.
AUTO_CASES = 500
MOST_LABELS = 200
# Words above which an answer is prose that nobody gives word for word.
LONG_ANSWER = 12
# Rows by which a template's way to write tool calls is tried.
_HEARD = 16


def make_suite(
    source: Sequence[Example] | Path,
    spec: SuiteSpec,
    *,
    seed: int,
    known: Sequence[Example] = (),
    near: Collection[str] = (),
    system: str | None = None,
    output: str | None = None,
    said: Callable[[Example], str] | None = None,
    thinking: bool = False,
) -> Suite:
    """A suite of held-out examples or of a file's cases (`read_cases`), at most `spec.cases` of them, drawn by `seed`.

    `known` are training examples: they tell which answers occur, for choosing scorers and labels; nothing else is
    taken from them. `near` are rows that the audit found nearly the same as a training row: they become a slice, so
    that scores can be read without them. `system` is put before the cases of a file that have none, as it is before
    the rows; `output` is the column of answers, which slices may call the gold label by. `said` gives what a model says
    that has learnt a row. With `thinking` the answers that a file wants are what stands behind their thoughts. Raises
    `DataError` with the line of a file's first mistake, when there are no examples, and when one is marked synthetic (a
    model may not be judged by rows a model made); `RecipeError` or `ScorerError` for a slice or scorer that does not
    exist, or tool calls to be scored that are `said` in a form which cannot be read.
    """
    if isinstance(source, Path):
        cases, name = read_cases(source, system, thinking=thinking), source.name
    else:
        cases, name = _held_out(source), "test"
    answers = [*(c.expected for c in cases), *(expected_text(e.answer) for e in known)]
    suite = _suite(cases, answers, spec, seed, name, output)
    if said is not None and "tool_calls" in suite.scorers:
        _hear(known, said)
    return _marked(suite, near) if any(c.row in near for c in suite.cases) else suite


def _held_out(examples: Sequence[Example]) -> list[Case]:
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
    return [_case(example, place) for place, example in enumerate(examples)]


def _hear(known: Sequence[Example], said: Callable[[Example], str]) -> None:
    """Raise `RecipeError` where a model that has learnt a tool call would be scored as if it had not."""
    calling = [e for e in known if e.answer.tool_calls][:_HEARD]
    answers = [said(row) for row in calling]
    heard = [in_our_form(text, row.tools) for row, text in zip(calling, answers, strict=True)]
    if calling and not any(score("tool_calls", text, _case(row, 0)) for row, text in zip(calling, heard, strict=True)):
        raise RecipeError(
            f"the base's chat template writes tool calls in a form that cannot be read: {answers[0][:200]!r}",
            where="suite.scorers: tool_calls",
            remedy="Name another scorer (`normalised`), or use a base whose template writes calls as JSON.",
        )


def _marked(suite: Suite, near: Collection[str]) -> Suite:
    """The suite with a slice that parts the cases which have a near twin in training from those that have none."""
    marks = {True: "yes", False: "no"}
    cases = [c.model_copy(update={"slices": {**c.slices, NEAR: marks[c.row in near]}}) for c in suite.cases]
    return suite.model_copy(update={"cases": tuple(cases)})


def _case(example: Example, place: int) -> Case:
    return Case(
        id=example.row or f"case:{place + 1}",
        messages=tuple(m.as_dict() for m in example.prompt),
        tools=tuple(dict(t) for t in example.tools),
        expected=expected_text(example.answer),
        row=example.row,
        group=example.group,
    )


def _suite(
    cases: list[Case], answers: Sequence[str], spec: SuiteSpec, seed: int, source: str, output: str | None
) -> Suite:
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
    cases = _sliced(cases, spec.slices, labels, {"label", output})
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


def _sliced(
    cases: Sequence[Case], names: Sequence[str], labels: Sequence[str], gold: Collection[str | None]
) -> list[Case]:
    """The cases with the values of their slices: the named JSON fields of the expected answer, or the gold label.

    `gold` are names of the whole answer, for where it has no field of that name.
    """
    fields = [_fields(case.expected) for case in cases]
    if not names:
        names = ("label",) if labels else _telling(fields)
    sliced = []
    for case, values in zip(cases, fields, strict=True):
        found = dict(case.slices)
        for name in names:
            if name not in found:
                found[name] = values.get(name, case.expected.strip() if name in gold and not values else "(none)")
        sliced.append(case.model_copy(update={"slices": found}))
    for name in names:
        if all(case.slices[name] == "(none)" for case in sliced):
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
