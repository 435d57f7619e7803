"""Writes the sample tickets. The answer is always derivable from the words, by rules a clerk could be told:

- the category and the usual action follow from what happened; an explicit wish overrides the action;
- pressing or angry words make the priority high, "no rush" makes it low, otherwise it is normal;
- the product and the order are null when the ticket names none; of two orders the one the ticket is about counts;
- an order id is copied as written; prices, days, phone numbers and error codes are not order ids.
"""

from __future__ import annotations

import json
import random
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tunewright.errors import DataError
from tunewright.sample import phrases as say
from tunewright.sample.phrases import PRODUCTS
from tunewright.store import write_text

CATEGORIES = ("billing", "shipping", "returns", "account", "hardware")
PRIORITIES = ("low", "normal", "high")
ACTIONS = ("refund", "replace", "track", "cancel", "repair", "reset", "explain")

GOOD_ROWS = 412
DUPLICATES = 6
LONGEST = 190
QUESTIONS = ("how ", "what ", "where ", "which ", "can ", "could ", "does ", "why ", "is ", "when ")

Deck = list[tuple[say.Scenario, str]]


@dataclass(frozen=True, slots=True)
class Ticket:
    """A customer's words, and how the desk files them. `product` and `order_id` are None when the words name none."""

    text: str
    category: str
    priority: str
    product: str | None
    order_id: str | None
    action: str

    def answer(self) -> str:
        """The five fields as one line of JSON, always in the same order."""
        return json.dumps(
            {
                "category": self.category,
                "priority": self.priority,
                "product": self.product,
                "order_id": self.order_id,
                "action": self.action,
            },
            ensure_ascii=False,
        )

    def row(self) -> dict[str, list[dict[str, str]]]:
        """The ticket as a row of chat messages."""
        return {
            "messages": [
                {"role": "user", "content": self.text},
                {"role": "assistant", "content": self.answer()},
            ]
        }


def examples(n: int, seed: int = 0) -> tuple[Ticket, ...]:
    """`n` tickets, no two with the same words (case and marks aside). The first of a seed do not depend on `n`."""
    dice = random.Random(f"tickets-{seed}")
    decks: dict[str, Deck] = {category: [] for category in CATEGORIES}
    seen: set[str] = set()
    tickets: list[Ticket] = []
    while len(tickets) < n:
        ticket = _ticket(dice, *_deal(dice, decks, dice.choice(CATEGORIES)))
        key = "".join(c for c in ticket.text.casefold() if c.isalnum())
        if key not in seen and len(ticket.text) <= LONGEST:
            seen.add(key)
            tickets.append(ticket)
    return tuple(tickets)


def write(directory: Path, beside: Mapping[str, str] | None = None) -> Path:
    """Write `tickets.jsonl` with 420 rows, a README and the texts `beside` into `directory`; gives the rows' path.

    412 rows are good. Six repeat an earlier row, one has an empty answer and one is not JSON: real exports look like
    this, and the ledger has to account for it. Raises `StorageError` when the disk refuses, and `DataError`, before
    anything is written, where one of the names is another file already.
    """
    texts = {_ROWS: "\n".join(_lines()) + "\n", "README.md": _README, **(beside or {})}
    others = [name for name, text in texts.items() if _is_another(directory / name, text)]
    if others:
        raise DataError(
            f"{', '.join(others)}: there already, with something else in it than the sample would write.",
            where=str(directory),
            remedy="Make the sample in another folder: tunewright demo --out FOLDER. A project of your own goes on "
            f"with: tunewright run {shlex.quote(str(directory))}. A sample that an earlier release made: delete "
            f"{'this file' if len(others) == 1 else 'these files'} first.",
        )
    for name, text in texts.items():
        write_text(directory / name, text)
    return directory / _ROWS


_ROWS = "tickets.jsonl"
_README = (
    "`tickets.jsonl`: 420 invented support tickets, each with the JSON the desk files it under, made by "
    "`tunewright.sample`; six rows repeat others and two are broken on purpose.\n"
)


def _is_another(path: Path, text: str) -> bool:
    """Whether something is at `path` already that is not a file with this text."""
    return path.exists() and not (path.is_file() and path.read_bytes() == text.encode())


def _lines() -> list[str]:
    lines = [json.dumps(ticket.row(), ensure_ascii=False) for ticket in examples(GOOD_ROWS)]
    dice = random.Random("defects")
    for line in dice.sample(lines, DUPLICATES):
        lines.insert(dice.randrange(len(lines) // 2, len(lines)), line)
    empty = json.dumps(
        {
            "messages": [
                {"role": "user", "content": "Hi, about my camera, order 7130: please call me"},
                {"role": "assistant", "content": ""},
            ]
        }
    )
    lines.insert(16, '{"messages": [{"role": "user", "content": "the export stopped in the mid')
    lines.insert(203, empty)
    return lines


def _deal(dice: random.Random, decks: dict[str, Deck], category: str) -> tuple[say.Scenario, str]:
    """The next wording of a category. A shuffled deck, not a die: in a few hundred rows none is seen just once."""
    deck = decks[category]
    if not deck:
        deck += [(s, wording) for s in say.SCENARIOS if s.category == category for wording in s.wordings]
        dice.shuffle(deck)
    return deck.pop()


def _ticket(dice: random.Random, scenario: say.Scenario, wording: str) -> Ticket:
    product = dice.choice(PRODUCTS) if dice.random() < 0.8 else None
    if "{p}" not in wording:
        product = None
    order = _order_id(dice) if dice.random() < scenario.order else None
    action, ask = scenario.action, ""
    if scenario.may_ask and dice.random() < 0.45:
        action = dice.choice(scenario.may_ask)
        ask = dice.choice(say.ASKS[action])
    priority = dice.choices(PRIORITIES, (2, 5, 3))[0]
    mood = {"high": say.HIGH, "low": say.LOW}.get(priority, ("",))
    text = _compose(dice, _problem(dice, wording, product, order), ask, dice.choice(mood), product)
    return Ticket(text, scenario.category, priority, product, order, action)


def _problem(dice: random.Random, wording: str, product: str | None, order: str | None) -> str:
    """What happened, with the thing and the order named – inside the sentence, before it or after it."""
    thing = f"{dice.choice(say.ARTICLES)} {product}" if product else dice.choice(say.NAMELESS)
    sentence = wording.replace("{p}", thing)
    if order is None:
        return sentence
    form = dice.random()
    if form < 0.12:
        other = _order_id(dice)
        return f"{sentence}. {dice.choice(say.TWO_ORDERS).format(i=order, x=other)}"
    if form < 0.45:
        return f"{sentence}. {dice.choice(say.ORDER_SENTENCES).format(i=order)}"
    mention = dice.choice(say.ORDER_INLINE).format(i=order)
    return f"{mention}: {sentence}" if form < 0.7 else f"{sentence}, {mention}"


def _compose(dice: random.Random, problem: str, ask: str, mood: str, product: str | None) -> str:
    parts = [problem]
    if dice.random() < 0.3:
        parts.insert(dice.randrange(2), dice.choice(say.ASIDES))
    if ask:
        parts.append(ask)
    if mood:
        parts.insert(dice.choice((0, len(parts))), mood)
    parts = [_end(dice, part) for part in parts]
    if dice.random() < 0.6:
        parts.insert(0, dice.choice(say.OPENINGS))
    if dice.random() < 0.55:
        parts.append(dice.choice(say.CLOSINGS))
    text = " ".join(parts)
    if dice.random() < 0.08:
        text = dice.choice(say.FORWARDS) + text
    return _noise(dice, _fill(dice, text), product)


def _end(dice: random.Random, sentence: str) -> str:
    """Some people write capitals and full stops, some do not."""
    if dice.random() < 0.6:
        sentence = sentence[0].upper() + sentence[1:]
    if sentence[-1].isalnum() or sentence[-1] in "})":
        asks = sentence.lower().startswith(QUESTIONS)
        sentence += dice.choice(("?", "?", "??", "")) if asks else dice.choice((".", ".", ".", "!", ""))
    return sentence


def _fill(dice: random.Random, text: str) -> str:
    slots: dict[str, Callable[[], str]] = {
        "{d}": lambda: dice.choice(say.DAYS),
        "{m}": lambda: f"{dice.choice('$€')}{dice.randrange(9, 190)}.{dice.choice(('00', '50', '90', '99'))}",
        "{n}": lambda: dice.choice(say.NAMES),
        "{k}": lambda: str(dice.randrange(20, 99)),
        "{y}": lambda: str(dice.randrange(2, 12)),
    }
    for slot, word in slots.items():
        while slot in text:
            text = text.replace(slot, word(), 1)
    return text


def _noise(dice: random.Random, text: str, product: str | None) -> str:
    """Typing as it is: a slip or two, now and then all in small letters. Order ids are never touched."""
    for right, slip in say.TYPOS.items():
        if right in text and dice.random() < 0.12:
            text = text.replace(right, slip, 1)
    if product is not None and dice.random() < 0.06:
        text = text.replace(product, say.PRODUCT_TYPOS[product])
    style = dice.random()
    if style < 0.12:
        # The suffix of an order id is a capital letter: small letters all over would change it.
        return " ".join(w if "-" in w else w.lower() for w in text.split(" "))
    if style < 0.2:
        return text.replace(",", "").replace(". ", " ")
    return text


def _order_id(dice: random.Random) -> str:
    number = str(dice.randrange(1000, 10000))
    return f"{number}-{dice.choice('ABCD')}" if dice.random() < 0.15 else number
