"""Small rewritings by rule, which examples alone can show: case, order, choice of words, counting, copying, format."""

from __future__ import annotations

import json
from collections.abc import Callable

from . import banks, labels
from .task import Example, Random, Task

Rule = Callable[[str], str]


def words_of(r: Random, low: int = 2, high: int = 7) -> list[str]:
    mixed = [banks.VOCABULARY, banks.FIRST, banks.CITY, banks.ANIMAL, banks.FOOD]
    bank = r.choice(mixed) if r.random() < 0.3 else None
    return [
        r.choice(bank or banks.VOCABULARY) if r.random() < 0.85 else banks.coined(r)
        for _ in range(r.randint(low, high))
    ]


RULES: dict[str, Rule] = {
    "Write it in capital letters.": str.upper,
    "Write it in small letters.": str.lower,
    "Repeat it exactly.": str,
    "Copy the text.": str,
    "Reverse the order of the words.": lambda s: " ".join(reversed(s.split())),
    "Give the first word.": lambda s: s.split()[0],
    "Give the last word.": lambda s: s.split()[-1],
    "Give the longest word.": lambda s: max(s.split(), key=len),
    "How many words are there?": lambda s: str(len(s.split())),
    "Join the words with commas.": lambda s: ", ".join(s.split()),
    "Join the words with hyphens.": lambda s: "-".join(s.split()),
    "Put the words in quotes.": lambda s: f'"{s}"',
    "Make a JSON list of the words.": lambda s: json.dumps(s.split()),
    "Sort the words from A to Z.": lambda s: " ".join(sorted(s.split(), key=str.lower)),
    "Say it twice.": lambda s: f"{s} {s}",
    "Write one word per line.": lambda s: "\n".join(s.split()),
    "Make a list with a dash before each word.": lambda s: "\n".join(f"- {w}" for w in s.split()),
    "Remove the first word.": lambda s: " ".join(s.split()[1:]),
    "Remove the last word.": lambda s: " ".join(s.split()[:-1]),
    "Give the first letter of each word.": lambda s: " ".join(w[0] for w in s.split()),
    "Spell it with spaces between the letters.": lambda s: " ".join(s.replace(" ", "")),
    "Begin each word with a capital letter.": str.title,
}
VAGUE = ("Do as in the examples.", "Follow the pattern.", "Same again.", "Continue.")


def by_rule(r: Random) -> Task:
    instruction = r.choice(list(RULES))
    rule = RULES[instruction]
    real = r.random() < 0.3 and labels.SENTENCES and "Spell" not in instruction

    def draw(r: Random) -> Example:
        if real:
            sentence = " ".join(
                r.choice(labels.SENTENCES[r.choice(sorted(labels.SENTENCES))]).split()[: r.randint(4, 14)]
            )
            return sentence, rule(sentence)
        text = " ".join(words_of(r))
        return text, rule(text)

    return Task(
        (instruction, instruction.lower().rstrip(".?"), f"{instruction} Answer with the result only."), draw, VAGUE
    )


def wrapped(r: Random) -> Task:
    """A template around the input, the same for every example."""
    before, after = r.choice(banks.VOCABULARY), r.choice(banks.VOCABULARY)
    shape = r.choice(
        [
            "{b} {x} {a}",
            "<{b}>{x}</{b}>",
            "{b}: {x}",
            '{{"{b}": "{x}"}}',
            "[{x}] {a}",
            "{x}, {a}!",
            "{b}({x})",
            "**{x}**",
            "# {x}",
        ]
    )

    def draw(r: Random) -> Example:
        kind = r.choice(list(banks.KINDS))
        x = banks.KINDS[kind](r)
        return x, shape.format(b=before, a=after, x=x)

    return Task((f"Write it like this: {shape.format(b=before, a=after, x='...')}",), draw, VAGUE)


def find_kind(r: Random) -> Task:
    """One value among words: give it back."""
    kind = r.choice(
        ["email", "phone", "date", "money", "code", "weekday", "month", "color", "animal", "country", "time", "year"]
    )

    def draw(r: Random) -> Example:
        words = words_of(r, 3, 9)
        value = banks.KINDS[kind](r)
        words.insert(r.randint(0, len(words)), value)
        return " ".join(words), value

    asks = (
        f"Find the {kind} in the text.",
        f"Which {kind} is named?",
        f"Extract the {kind}.",
        f"Give only the {kind}.",
    )
    return Task(asks, draw, VAGUE)


def table_lookup(r: Random) -> Task:
    """Key → value pairs in the input; one is asked for."""
    left, right = (
        r.choice(["person", "coined", "code", "animal", "word"]),
        r.choice(["count", "city", "color", "job", "phone", "code"]),
    )

    def draw(r: Random) -> Example:
        pairs = {banks.KINDS[left](r): banks.KINDS[right](r) for _ in range(r.randint(2, 6))}
        key = r.choice(list(pairs))
        lines = "\n".join(f"{k}: {v}" for k, v in pairs.items())
        return f"{lines}\n\n{key}?", pairs[key]

    return Task(
        ("Look the value up in the list.", "Answer from the list.", "What stands beside the name asked for?"),
        draw,
        VAGUE,
    )
