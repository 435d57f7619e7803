"""Texts → labels, the labels given in the prompt or shown by examples; some are arbitrary."""

from __future__ import annotations

import json
from collections.abc import Callable

from . import banks
from .extraction import Field, say, scenes
from .task import Example, Random, Task

ASK = (
    "Classify the text. Labels: {labels}.",
    "Which of these fits: {labels}? Answer with the label only.",
    "Answer with one of: {labels}.",
    "Pick the right label from this list: {labels}.",
    "You label texts. The labels are {labels}. Reply with one label.",
    "Choose one label.\n{lines}",
    "Say which of the following the text is about.\n{lines}\nAnswer with its name only.",
)
VAGUE = ("Label the text.", "Classify.", "Which one is it?", "You sort texts.", "Give the label.")
SENTENCES: dict[str, list[str]] = {}  # by subject, from the corpus's training part; set by `use_sentences`


def use_sentences(sentences: dict[str, list[str]]) -> None:
    SENTENCES.clear()
    SENTENCES.update(sentences)


def wordings(labels: list[str]) -> tuple[str, ...]:
    return tuple(ask.format(labels=", ".join(labels), lines="\n".join(f"- {label}" for label in labels)) for ask in ASK)


def renamed(r: Random, names: list[str]) -> tuple[dict[str, str], bool]:
    """The labels as shown: themselves, in capitals, or arbitrary words (then only examples can tell them)."""
    roll = r.random()
    if roll < 0.6:
        return {n: n for n in names}, False
    if roll < 0.75:
        return {n: n.upper() for n in names}, False
    if roll < 0.85:
        return {n: n.replace(" ", "_") for n in names}, False
    fresh = [chr(65 + i) for i in range(len(names))]
    if r.random() < 0.6 and len(banks.VOCABULARY) > 100:
        fresh = r.sample(banks.VOCABULARY, len(names))
    return dict(zip(names, fresh, strict=True)), True


def task(r: Random, shown: dict[str, str], arbitrary: bool, draw: Callable[[Random], Example]) -> Task:
    """Labels listed in any order; sometimes the answer is a JSON object with one key, and is asked for as such."""
    labels = list(shown.values())
    r.shuffle(labels)
    asks = wordings(labels)
    if r.random() > 0.15:
        return Task(asks, draw, VAGUE, arbitrary)
    key = r.choice(["label", "class", "kind", "answer", "topic", "group"])

    def wrapped(r: Random) -> Example:
        given, label = draw(r)
        return given, json.dumps({key: label})

    return Task(tuple(f"{ask} Answer as JSON with the key {key}." for ask in asks), wrapped, VAGUE, arbitrary)


def by_wording(r: Random) -> Task:
    """A scene's field with few values: which clause was used?"""
    scene = r.choice([s for s in scenes() if any(f.values for f in s.fields)])
    one: Field = r.choice([f for f in scene.fields if f.values])
    shown, arbitrary = renamed(r, [value for value, _ in one.values])
    others = [f for f in scene.fields if f is not one]

    def draw(r: Random) -> Example:
        sentence, value = say(r, one, False)
        sentences = [sentence] + [say(r, f, False)[0] for f in r.sample(others, r.choice([0, 1, 2]))]
        r.shuffle(sentences)
        return " ".join(sentences), shown[str(value)]

    return task(r, shown, arbitrary, draw)


def by_scene(r: Random) -> Task:
    """What is it about? Scenes are the labels."""
    some = r.sample(list(scenes()), r.randint(2, min(14, len(scenes()))))
    shown, arbitrary = renamed(r, [s.subject for s in some])

    def draw(r: Random) -> Example:
        scene = r.choice(some)
        told = " ".join(say(r, f, False)[0] for f in r.sample(list(scene.fields), r.randint(1, 3)))
        return told, shown[scene.subject]

    return task(r, shown, arbitrary, draw)


def by_subject(r: Random) -> Task:
    """Real sentences: which book are they from?"""
    if len(SENTENCES) < 2:
        return by_scene(r)
    some = r.sample(sorted(SENTENCES), r.randint(2, len(SENTENCES)))
    shown, arbitrary = renamed(r, some)

    def draw(r: Random) -> Example:
        subject = r.choice(some)
        return r.choice(SENTENCES[subject]), shown[subject]

    return task(r, shown, arbitrary, draw)


KIND_LABELS = banks.words("""
    person city country company code money date time email phone color material animal food plant tool job subject
    language weekday month street duration weight length
""")


def by_kind(r: Random) -> Task:
    """A bare value: what kind of thing is it?"""
    some = r.sample(KIND_LABELS, r.randint(2, 10))
    shown, arbitrary = renamed(r, some)

    def draw(r: Random) -> Example:
        kind = r.choice(some)
        return banks.KINDS[kind](r), shown[kind]

    return task(r, shown, arbitrary, draw)
