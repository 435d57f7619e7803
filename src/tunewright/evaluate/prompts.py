"""Prompt strategies: what each arm adds to a case's messages. Pure functions; only training rows are drawn from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tunewright.errors import RecipeError
from tunewright.evaluate.leaves import parse
from tunewright.evaluate.overlap import holds
from tunewright.evaluate.retrieval import Library, Nearest, question
from tunewright.evaluate.scorers import expected_text
from tunewright.evaluate.variants import Variant, variants
from tunewright.records import Case, Example, Suite
from tunewright.text import normal

Messages = tuple[dict[str, Any], ...]
Prompts = Callable[[Case], Messages]
Count = Callable[[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]], int]

# More labels than this would make the instruction longer than most contexts of small models.
MOST_LISTED = 120


def prompting(
    arm: str,
    suite: Suite,
    *,
    train: Sequence[Example] = (),
    task: str | None = None,
    count: Count = lambda messages, tools: 0,
    budget: int = 0,
    shots: int = 0,
    library: Library | None = None,
    variant: Variant | None = None,
) -> Prompts:
    """How the arm puts a case to the model: a function from a case to messages.

    `base` and `tuned` give the messages as they are; `prompted` adds an instruction made of `task` and of what the
    training answers look like, or `variant` in its place; `few_shot` adds up to `shots` training rows, the nearest by
    BM25, as earlier turns (none unless told); `rag` and `tuned_rag` add the passages that `library` finds (without one,
    training rows found by BM25) as system text. Of both as many are added as `count(messages, tools)` finds to fit
    `budget` tokens.
    Raises `RecipeError` for an unknown arm.
    """
    if arm in ("base", "tuned"):
        return as_given
    if arm == "prompted":
        given = variant or prompt_variants(suite, train, task)[0]
        return lambda case: _beside(case, given.text) if given.place == "question" else _instructed(case, given.text)
    if arm == "few_shot":
        return _few_shot(train, count, budget, shots)
    if arm in ("rag", "tuned_rag"):
        return _retrieved(library or Library(train), count, budget)
    raise RecipeError(f"`{arm}` is not an arm that prompts a model.", where="arms")


def as_given(case: Case) -> Messages:
    """The case's own messages."""
    return case.messages


def prompt_variants(
    suite: Suite, train: Sequence[Example], task: str | None, *, count: int = 1, own: Sequence[str] = ()
) -> list[Variant]:
    """`count` ways to say the task, the plainest first, and a person's own after them; never none."""
    line = task.strip().rstrip(".") + "." if task and task.strip() else "Answer as the task demands."
    return variants(line, _form(suite, train), train, count=count, own=own)


def _form(suite: Suite, train: Sequence[Example]) -> str:
    """The form of the answer, as the training rows show it."""
    answers = [expected_text(e.answer) for e in train]
    if suite.primary in ("choice", "exact", "normalised") and suite.labels:
        listed = [label for label, _ in Counter(a.strip() for a in answers).most_common(MOST_LISTED)]
        return f"Answer with exactly one of these labels and nothing else: {', '.join(sorted(listed))}."
    if suite.primary.startswith("json"):
        return _json_form(answers)
    if suite.primary == "numeric":
        return "Work it out step by step, then end with a line `#### ` followed by the number alone."
    if suite.primary == "tool_calls":
        return "Call a tool when one fits; otherwise answer in words."
    return "Give the answer alone, with no explanation."


def _json_form(answers: Sequence[str]) -> str:
    """Which fields the JSON answers have, and the values of those that take few."""
    values: dict[str, Counter[str]] = {}
    for answer in answers:
        try:
            parsed = parse(answer)
        except ValueError:
            continue
        if isinstance(parsed, dict):
            for key, value in parsed.items():
                values.setdefault(key, Counter())[json.dumps(value, ensure_ascii=False)] += 1
    parts = []
    for key, seen in values.items():
        few = len(seen) <= 12 and sum(seen.values()) >= 5 * len(seen)
        parts.append(f'"{key}" ({" or ".join(sorted(seen))})' if few else f'"{key}"')
    return f"Answer with one JSON object and nothing else. Its fields: {', '.join(parts)}."


def _instructed(case: Case, text: str) -> Messages:
    """The case's messages with `text` at the end of the system message, or as one of its own."""
    first = case.messages[0] if case.messages else None
    if first is not None and first.get("role") == "system":
        joined = f"{first['content']}\n\n{text}" if first.get("content") else text
        return ({**first, "content": joined}, *case.messages[1:])
    return ({"role": "system", "content": text}, *case.messages)


def _beside(case: Case, text: str) -> Messages:
    """The case's messages with `text` after the last question."""
    turns = list(case.messages)
    last = max((i for i, m in enumerate(turns) if m.get("role") == "user"), default=None)
    if last is None:
        return _instructed(case, text)
    turns[last] = {**turns[last], "content": f"{turns[last].get('content') or ''}\n\n{text}"}
    return tuple(turns)


def _retrieved(library: Library, count: Count, budget: int) -> Prompts:
    def prompts(case: Case) -> Messages:
        chosen = library.find(question(case.messages))
        while chosen:
            numbered = "\n\n".join(f"[{n}] {passage}" for n, passage in enumerate(chosen, 1))
            messages = _instructed(case, f"Use these passages where they help:\n\n{numbered}")
            if count(messages, case.tools) <= budget:
                return messages
            chosen.pop()
        return case.messages

    return prompts


def answer_shown(case: Case, messages: Sequence[Mapping[str, Any]]) -> float:
    """1 when the expected answer occurs in what an arm added to the case's own messages, else 0.

    For RAG its mean is recall@k: a low value says that retrieval failed, not the model.
    """
    own = {str(m.get("content") or "") for m in case.messages}
    added = "\n".join(str(m.get("content") or "") for m in messages if str(m.get("content") or "") not in own)
    expected = normal(case.expected)
    return float(bool(expected) and holds(added, expected))


def _few_shot(train: Sequence[Example], count: Count, budget: int, shots: int) -> Prompts:
    rows = [e for e in train if not any(m.role == "tool" for m in e.messages)]
    if not rows:
        return as_given
    nearest = Nearest([question([m.as_dict() for m in e.prompt]) for e in rows])

    def prompts(case: Case) -> Messages:
        heads = 1 if case.messages and case.messages[0].get("role") == "system" else 0
        chosen = nearest.best(question(case.messages), shots)
        turns = [tuple(m.as_dict() for m in rows[place].messages if m.role != "system") for place in chosen]
        while True:
            # The most alike row stands next to the question.
            shown = tuple(turn for row in reversed(turns) for turn in row)
            messages = (*case.messages[:heads], *shown, *case.messages[heads:])
            if not turns or count(messages, case.tools) <= budget:
                return messages
            turns.pop()

    return prompts
