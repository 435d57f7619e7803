"""What a teacher is asked: which rows are shown, for which class, how many rows at a time."""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunewright.errors import DataError
from tunewright.records import Example
from tunewright.synthesis import prompts, turns
from tunewright.synthesis.form import Form

KINDS = ("paraphrase", "augment", "generate")
# Rows asked for at once: more in one reply grow alike, fewer cost a prompt each.
AT_ONCE = 5
_MOST_LABELS = 100


@dataclass(frozen=True)
class Request:
    """One request: `wanted` rows of a kind, from the training rows `seeds`. `target`: the label, or the value of
    `field` in the JSON answer, that every new row must have."""

    kind: str
    wanted: int
    prompt: str
    seeds: tuple[Example, ...]
    form: Form
    target: str | None = None
    field: str | None = None

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation to be sent."""
        return [{"role": "system", "content": prompts.OPENING}, {"role": "user", "content": self.prompt}]


@dataclass(frozen=True)
class Wish:
    """What is wanted: `count` rows of a kind. `only` names labels (or values of the answer's field `slice`) to be aimed
    at; `shown` is how many rows an inventing request shows; `seed` draws them."""

    kind: str = "paraphrase"
    count: int = 20
    seed: int = 0
    only: tuple[str, ...] = ()
    slice: str | None = None
    shown: int = 6
    task: str | None = None


def requests(rows: Sequence[Example], wish: Wish, labels: Sequence[str] = ()) -> list[Request]:
    """The requests that ask for what is wished, from training rows; the same for the same rows, whatever their order.

    Rows that hold a key or password are shown to nobody. `augment` fills up the rarest classes first, paraphrases take
    every row in turn. Raises `DataError` where no row serves.
    """
    if wish.kind not in KINDS:
        raise DataError(
            f"`{wish.kind}` is not a kind of synthesis.", where="--kind", remedy=f"Kinds: {', '.join(KINDS)}."
        )
    form = Form.of([e.answer.content for e in rows], labels)
    rows = sorted((e for e in rows if not turns.secret(e)), key=lambda e: (turns.asked(e.messages), e.row))
    rng = random.Random(f"{wish.kind}:{wish.seed}")
    if wish.kind == "paraphrase":
        usable = [e for e in rows if turns.last_user(e) is not None]
        return list(_paraphrases(_aimed(usable, wish, form), wish, form, rng))
    usable = _alike([e for e in rows if turns.single(e)])
    if wish.kind == "augment":
        return list(_augmented(usable, wish, form, rng))
    return list(_generated(_aimed(usable, wish, form), wish, form, rng))


def _alike(rows: list[Example]) -> list[Example]:
    """The rows behind the commonest system prompt: new rows stand behind that one."""
    if not rows:
        raise DataError(
            "no training row is one question and one answer in words, as rows must be to be invented.",
            where="--kind",
            remedy="Conversations and tool calls can be reworded: --kind paraphrase",
        )
    openings: dict[str, list[Example]] = {}
    for example in rows:
        first = example.messages[0]
        openings.setdefault(first.content if first.role == "system" else "", []).append(example)
    return max(openings.values(), key=len)


def classes(rows: Sequence[Example], form: Form, slice: str | None) -> dict[str, list[Example]]:
    """The rows by label, or by the value of the field `slice` of their JSON answers. Raises `DataError`."""
    found: dict[str, list[Example]] = {}
    if slice is None and form.labels:
        for example in rows:
            found.setdefault(example.label or example.answer.content, []).append(example)
        return found
    for example in rows:
        value = _answer(example).get(slice) if slice else None
        if isinstance(value, str) and value:
            found.setdefault(value, []).append(example)
    if not found:
        known = ", ".join(form.choices) or "none with few values"
        raise DataError(
            f"no answer has texts in a field `{slice}`." if slice else "the answers are no labels.",
            where="--slice",
            remedy=f"Name a field of the JSON answers: --slice FIELD (fields: {known}); or --kind generate.",
        )
    return found


def _answer(example: Example) -> Mapping[str, Any]:
    try:
        value = json.loads(example.answer.content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _aimed(rows: list[Example], wish: Wish, form: Form) -> list[Example]:
    """The rows of the classes aimed at; all of them where none is named."""
    if wish.only:
        of = _named(classes(rows, form, wish.slice), wish.only)
        rows = [e for found in of.values() for e in found]
    if not rows:
        raise DataError("no training row can be reworded: none asks anything in words.", where="--kind")
    return rows


def _named(found: dict[str, list[Example]], only: Sequence[str]) -> dict[str, list[Example]]:
    for name in only:
        if name not in found:
            known = ", ".join(sorted(found)[:20])
            raise DataError(f"no training row is of class `{name}`.", where="--label", remedy=f"Classes: {known}.")
    return {name: found[name] for name in dict.fromkeys(only)} if only else found


def _paraphrases(rows: Sequence[Example], wish: Wish, form: Form, rng: random.Random) -> Iterator[Request]:
    order = rng.sample(rows, len(rows))
    for place, example in enumerate(order):
        each = wish.count // len(order) + (place < wish.count % len(order))
        turn = example.messages[turns.last_user(example) or 0]
        for part, wanted in _parts(each):
            prompt = prompts.paraphrase(turn.content, wanted, task=wish.task, part=part)
            yield Request("paraphrase", wanted, prompt, (example,), form)


def _augmented(rows: Sequence[Example], wish: Wish, form: Form, rng: random.Random) -> Iterator[Request]:
    found = _named(classes(rows, form, wish.slice), wish.only)
    for name, count in sorted(_filled({n: len(r) for n, r in found.items()}, wish.count).items()):
        what = f"the output {json.dumps(name, ensure_ascii=False)}"
        if wish.slice:
            what = f"{json.dumps(wish.slice)} = {json.dumps(name, ensure_ascii=False)} in the output"
        others = [label for label in form.labels if label != name][:_MOST_LABELS]
        for part, wanted in _parts(count):
            seeds = tuple(rng.sample(found[name], min(wish.shown, len(found[name]))))
            prompt = prompts.augment(_pairs(seeds), wanted, what=what, labels=others, task=wish.task, part=part)
            yield Request("augment", wanted, prompt, seeds, form, name, wish.slice)


def _generated(rows: Sequence[Example], wish: Wish, form: Form, rng: random.Random) -> Iterator[Request]:
    for part, wanted in _parts(wish.count):
        seeds = tuple(rng.sample(rows, min(wish.shown, len(rows))))
        labels = form.labels[:_MOST_LABELS]
        prompt = prompts.generate(_pairs(seeds), wanted, labels=labels, task=wish.task, part=part)
        yield Request("generate", wanted, prompt, seeds, form)


def _filled(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """How many of `count` new rows each class gets: always one more for the smallest."""
    heap = [(size, name) for name, size in sizes.items()]
    heapq.heapify(heap)
    given: dict[str, int] = {}
    for _ in range(count):
        size, name = heap[0]
        heapq.heapreplace(heap, (size + 1, name))
        given[name] = given.get(name, 0) + 1
    return given


def _parts(count: int) -> Iterator[tuple[int, int]]:
    """`count` in pieces of at most `AT_ONCE`, numbered from 1."""
    for part, start in enumerate(range(0, count, AT_ONCE), 1):
        yield part, min(AT_ONCE, count - start)


def _pairs(seeds: Sequence[Example]) -> list[tuple[str, str]]:
    return [(turns.asked(e.prompt), e.answer.content) for e in seeds]
