"""Scorers: an answer and its case to a number from 0 to 1.

A scorer that cannot score (the expected answer has no number, a pattern does not compile) raises `ScorerError`: that
case is counted apart and is never a wrong answer.
"""

from __future__ import annotations

import importlib
import json
import math
import re
import traceback
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import regex

from tunewright.errors import ScorerError
from tunewright.evaluate.classes import named
from tunewright.evaluate.instructions import instructions
from tunewright.evaluate.leaves import leaf_f1, parse
from tunewright.evaluate.manners import toxicity
from tunewright.evaluate.overlap import OVERLAP
from tunewright.evaluate.sandbox import python_tests, sql_rows
from tunewright.records import Case, Message
from tunewright.text import normal

Scorer = Callable[[str, Case, Sequence[str]], float]

# Scorers that need more than an answer and its case; `measures` makes them.
MEASURED = ("grounded", "json_schema", "perplexity", "similarity", "tone")

_NUMBER = re.compile(r"[-−+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-−+]?\.\d+")
_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|$)", re.DOTALL)


def exact(text: str, case: Case, labels: Sequence[str]) -> float:
    """The same characters, white space at the ends aside."""
    return float(text.strip() == case.expected.strip())


def normalised(text: str, case: Case, labels: Sequence[str]) -> float:
    """The same normal form: case, punctuation between words and white space do not count."""
    return float(normal(text) == normal(case.expected))


def choice(text: str, case: Case, labels: Sequence[str]) -> float:
    """The expected label and no other: said alone, or as the only known label in the answer's first line."""
    expected = normal(case.expected)
    return float(normal(text) == expected or (named(text, labels) == expected and bool(expected)))


def pattern(text: str, case: Case, labels: Sequence[str]) -> float:
    """The expected answer is a regular expression that the whole answer matches."""
    try:
        return float(regex.fullmatch(case.expected, text.strip(), timeout=1.0) is not None)
    except regex.error as error:
        raise ScorerError(f"`{case.expected}` is not a regular expression: {error}", where=case.id) from None
    except TimeoutError:
        raise ScorerError(f"`{case.expected}` takes over a second to match.", where=case.id) from None


def final_number(text: str) -> Decimal | None:
    """The number after the last `####`, else the last number of the text; thousands commas are read over."""
    _, marked, tail = text.rpartition("####")
    found = _NUMBER.findall(tail)
    if not found:
        return None
    chosen = found[0] if marked else found[-1]
    try:
        return Decimal(chosen.replace(",", "").replace("−", "-"))
    except InvalidOperation:
        return None


def numeric(text: str, case: Case, labels: Sequence[str]) -> float:
    """The final number has the expected value (to one part in a million)."""
    expected = final_number(case.expected)
    if expected is None:
        raise ScorerError("the expected answer holds no number.", where=case.id)
    answer = final_number(text)
    return float(answer is not None and math.isclose(answer, expected, rel_tol=1e-6, abs_tol=1e-9))


def json_fields(text: str, case: Case, labels: Sequence[str]) -> float:
    """F1 of the JSON's (path, value) leaves; an answer that is not JSON scores 0."""
    try:
        expected = parse(case.expected)
    except ValueError:
        raise ScorerError("the expected answer is not JSON.", where=case.id) from None
    try:
        return leaf_f1(parse(text), expected)
    except (ValueError, RecursionError):
        return 0.0


def json_valid(text: str, case: Case, labels: Sequence[str]) -> float:
    """The answer is JSON at all."""
    try:
        parse(text)
    except (ValueError, RecursionError):
        return 0.0
    return 1.0


def _calls(text: str) -> list[Any] | None:
    """Tool calls named in a text, in order; None where one is not JSON."""
    try:
        return [parse(block) for block in _CALL.findall(text)]
    except ValueError:
        return None


def tool_calls(text: str, case: Case, labels: Sequence[str]) -> float:
    """F1 of the leaves of the `<tool_call>` blocks; where none is wanted, 1 for an answer that calls nothing."""
    expected, answer = _calls(case.expected), _calls(text)
    if expected is None:
        raise ScorerError("the expected answer's tool call is not JSON.", where=case.id)
    if answer is None:
        return 0.0
    if not expected or not answer:
        return float(not expected and not answer)
    return leaf_f1(answer, expected)


SCORERS: dict[str, Scorer] = {
    "choice": choice,
    "exact": exact,
    "instructions": instructions,
    "json_fields": json_fields,
    "json_valid": json_valid,
    "normalised": normalised,
    "numeric": numeric,
    "python_tests": python_tests,
    "regex": pattern,
    "sql_rows": sql_rows,
    "tool_calls": tool_calls,
    "toxicity": toxicity,
    **OVERLAP,
}


def _later(text: str, case: Case, labels: Sequence[str]) -> float:
    raise ScorerError("needs more than the answer: it is taken when the arm has answered.", where=case.id)


def find(name: str) -> Scorer:
    """The scorer of that name, or a function `(text, case) -> number` by import path (`mypkg.mod.fn`).

    Raises `ScorerError` when there is none.
    """
    if name in SCORERS:
        return SCORERS[name]
    if name in MEASURED:
        return _later
    module, _, function = name.rpartition(".")
    if not module:
        raise ScorerError(
            f"`{name}` is not a scorer.",
            where="suite.scorers",
            remedy=f"Known: {', '.join(sorted({*SCORERS, *MEASURED}))}; or a function of your own: mypkg.my_scorer",
        )
    try:
        found = getattr(importlib.import_module(module), function)
    except (Exception, SystemExit) as error:  # a file of somebody's own may raise anything
        raise ScorerError(
            f"`{name}` cannot be imported: {_why(error)}",
            where="suite.scorers",
            remedy="Give the import path of a function (text, case) -> number from 0 to 1. A file of your own is found "
            "where you say so: PYTHONPATH=FOLDER tunewright …",
        ) from error
    return _from_user(name, found)


def _why(error: BaseException) -> str:
    """The error of an import, with the file and line that raised it."""
    if isinstance(error, ImportError | AttributeError):
        return str(error)
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):  # its own words name the place
        return said
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{said} ({place.filename}, line {place.lineno})"


def _from_user(name: str, function: Callable[[str, Case], Any]) -> Scorer:
    def run(text: str, case: Case, labels: Sequence[str]) -> float:
        try:
            value = float(function(text, case))
        except Exception as error:
            raise ScorerError(f"`{name}` failed: {type(error).__name__}: {error}", where=case.id) from error
        if not 0 <= value <= 1:
            raise ScorerError(f"`{name}` gave {value}; a score lies from 0 to 1.", where=case.id)
        return value

    return run


def score(name: str, text: str, case: Case, labels: Sequence[str] = ()) -> float:
    """What the scorer gives `text` as answer to `case`, from 0 to 1. `labels` are the classes, for `choice`.

    Raises `ScorerError` when there is no such scorer or it cannot score this case.
    """
    return find(name)(text, case, labels)


def score_all(
    names: Sequence[str], text: str, case: Case, labels: Sequence[str] = ()
) -> tuple[dict[str, float | None], str | None]:
    """Every scorer's score, None where it failed, and what the first failure was.

    Those that need more than the answer are None here, and no failure yet.
    """
    scores: dict[str, float | None] = {}
    first: str | None = None
    for name in names:
        if name in MEASURED:
            scores[name] = None
            continue
        try:
            scores[name] = score(name, text, case, labels)
        except ScorerError as error:
            scores[name] = None
            first = first or f"{name}: {error.message}"
    return scores, first


def expected_text(answer: Message) -> str:
    """An answer as one text: its words, then its tool calls as `<tool_call>` blocks; its thought is none of it."""
    return with_calls(answer.content, answer.tool_calls)


def with_calls(content: str, calls: Sequence[Any]) -> str:
    """Words, and calls in the form that suites have them."""
    blocks = [
        f"<tool_call>{json.dumps({'name': c.get('name'), 'arguments': c.get('arguments')}, ensure_ascii=False)}"
        "</tool_call>"
        for c in calls
    ]
    return "\n".join([*([content] if content else []), *blocks])
