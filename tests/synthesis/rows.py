"""Rows, and drafts as a teacher would have written them."""

from __future__ import annotations

import json
from typing import Any

from tunewright.records import Example, Message
from tunewright.synthesis import Wish, drafts, requests


def row(question: str, answer: str, **more: Any) -> Example:
    return Example((Message("user", question), Message("assistant", answer)), **more)


QUESTIONS = (
    "Where is the parcel that I have ordered for my sister?",
    "Why was I charged twice for the blue kettle this month?",
    "How do I change the address that is on my account?",
    "Can you tell me when the shop in the old town is open?",
    "My lamp came with a broken switch and I want another.",
    "Is there a way to pay for this with a gift card?",
)


def labelled(counts: dict[str, int]) -> list[Example]:
    """Rows with labels, as many of each as said."""
    made = []
    for label, count in counts.items():
        made += [
            row(f"{QUESTIONS[i % len(QUESTIONS)]} Matter {label}{i}.", label, row=f"t.jsonl:{label}{i}", label=label)
            for i in range(count)
        ]
    return made


def said(rows: list[Example], reply: Any, labels: tuple[str, ...] = (), **wish: Any) -> list[Any]:
    """Drafts of the first request for what is wished, answered with `reply`."""
    request = requests(rows, Wish(**{"count": 1, **wish}), labels)[0]
    return drafts(request, 0, reply if isinstance(reply, str) else json.dumps(reply))[0]
